// Frames pass as they came, whoever breaks a rule ends it for both before a byte of it passes, and each end is seen on the other side.
import { describe, expect, test, vi } from 'vitest';

import { expectNothingLeft, openHandles } from '../../../../testing/lab/resources.ts';
import { everySplit } from '../../../../testing/lab/split.ts';
import { chunksOf, clientFrame, frame, type FrameFields } from '../../../../testing/lab/websocket-wire.ts';
import { nextTurn, patterned, tcpPair } from '../streams.ts';
import { closeCodeBehind, plainAgreement, startWebSocketLab } from './websocket-lab.ts';

const hello = clientFrame({ payload: 'hello' });
const world = frame({ payload: 'world' });
const closeCode = (code: number, reason = ''): Buffer =>
  Buffer.concat([Buffer.from([code >> 8, code & 0xff]), Buffer.from(reason, 'latin1')]);
const closing = { opcode: 8, payload: closeCode(1000, 'bye') };

/** The head of a frame of a client that declares so many bytes. */
function longHead(high: number, low: number): Buffer {
  const head = Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
  head.writeUInt32BE(high, 2);
  head.writeUInt32BE(low, 6);
  return head;
}

describe('frames', () => {
  test('WS-03 WS-08 pass both ways byte for byte, however they are cut, pings, fragments and masks included', async () => {
    const up = Buffer.concat([
      hello,
      clientFrame({ payload: patterned(300), isFinal: false, opcode: 2 }),
      clientFrame({ payload: 'ping', opcode: 9 }),
      clientFrame({ payload: patterned(70_000), opcode: 0 }),
      clientFrame({ ...closing, maskKey: 0x01020304 }),
    ]);
    const down = Buffer.concat([
      frame({ payload: 'pong', opcode: 10 }),
      frame({ payload: patterned(140), isFinal: false }),
      frame({ opcode: 0 }),
      frame(closing),
    ]);
    const tried = await everySplit(
      up.subarray(0, 400),
      async (pieces) => {
        const lab = await startWebSocketLab();
        for (const piece of pieces) lab.client.write(piece);
        lab.client.write(up.subarray(400));
        const sizes = pieces.map(({ length }) => length);
        for (const piece of chunksOf(down, sizes)) lab.origin.write(piece);
        await Promise.all([lab.atOrigin.until(up), lab.atClient.until(down)]);
        lab.origin.end();
        await lab.atClient.ended();
        lab.client.end();
        const end = await lab.end;
        const { flow } = lab.exchange;
        return [lab.atOrigin.received.equals(up), flow.bytesFromClient, flow.bytesFromServer, end.reason];
      },
      { maxSplits: 25 },
    );
    expect(tried).toBeGreaterThan(10);
  });

  test('that were there before the relay began go first', async () => {
    const lab = await startWebSocketLab({
      before: (client, origin) => {
        client.pushBack(hello);
        origin.pushBack(world);
      },
    });
    lab.client.write(clientFrame({ payload: 'second' }));
    await lab.atClient.until(world);
    await lab.atOrigin.until(Buffer.concat([hello, clientFrame({ payload: 'second' })]));
    expect(lab.events().filter(({ kind }) => kind === 'websocket_frame')).toHaveLength(3);
    await lab.stop();
  });

  test('with a bit that permessage-deflate sets pass where that was agreed on', async () => {
    const deflate = {
      serverNoContextTakeover: true,
      clientNoContextTakeover: true,
      serverMaxWindowBits: 15,
      clientMaxWindowBits: 15,
    };
    const lab = await startWebSocketLab({ agreement: { ...plainAgreement, deflate } });
    const compressed = clientFrame({ payload: Buffer.from('f248cdc9c90700', 'hex'), rsv: 4 });
    lab.client.write(compressed);
    expect(await lab.atOrigin.until(compressed)).toEqual(compressed);
    await lab.stop();
  });

  test('with what only an unknown extension knows pass where one was agreed on', async () => {
    const lab = await startWebSocketLab({ agreement: { ...plainAgreement, hasUnknownExtension: true } });
    const strange = frame({ payload: 'x', rsv: 2, opcode: 3 });
    lab.origin.write(strange);
    expect(await lab.atClient.until(strange)).toEqual(strange);
    await lab.stop();
  });
});

describe('whoever breaks a rule ends it for both, and no byte of the frame passes', () => {
  const byClient: readonly [string, FrameFields | Buffer, number, string][] = [
    ['WS-05 an unmasked frame', frame({ payload: 'x' }), 1002, 'client_frame_unmasked'],
    ['WS-06 a fragmented ping', { opcode: 9, isFinal: false }, 1002, 'fragmented_control_frame'],
    ['WS-07 a reserved opcode', { opcode: 3, payload: 'x' }, 1002, 'reserved_opcode:0x3'],
    ['a reserved control opcode', { opcode: 11 }, 1002, 'reserved_opcode:0xb'],
    [
      'a ping of more than 125 bytes',
      { opcode: 9, payload: 'p'.repeat(126) },
      1002,
      'control_frame_too_large',
    ],
    ['a reserved bit that nobody agreed on', { rsv: 4, payload: 'x' }, 1002, 'reserved_bits'],
    ['a continuation of nothing', { opcode: 0, payload: 'x' }, 1002, 'unexpected_continuation'],
    [
      'a length in more bytes than it needs',
      Buffer.from([0x81, 0xfe, 0, 1, 1, 2, 3, 4, 5]),
      1002,
      'non_minimal_length',
    ],
    [
      'a length with its highest bit set',
      longHead(0x8000_0000, 0),
      1002,
      'decode_header:payload_length_overflow',
    ],
    [
      'WS-09 a length beyond exact numbers',
      longHead(0x0020_0000, 0),
      1009,
      'decode_header:payload_too_large:9007199254740992:9007199254740991',
    ],
    ['a close frame of one byte', { opcode: 8, payload: 'x' }, 1002, 'invalid_close_payload'],
    [
      'a close code that is never sent',
      { opcode: 8, payload: closeCode(1006) },
      1002,
      'invalid_close_code:1006',
    ],
    [
      'a reason that is not UTF-8',
      { opcode: 8, payload: closeCode(1000, '\xff') },
      1007,
      'invalid_close_reason',
    ],
  ];
  test.each(byClient)('the client, by %s', async (_rule, fields, code, detail) => {
    const bad = Buffer.isBuffer(fields) ? fields : clientFrame(fields);
    for (const sizes of [[], Array.from({ length: 300 }, () => 1)]) {
      const lab = await startWebSocketLab();
      for (const piece of chunksOf(Buffer.concat([hello, bad, hello]), sizes)) lab.client.write(piece);
      expect(await lab.end).toEqual({ reason: 'websocket_error', detail: `websocket_codec:${detail}` });
      expect(closeCodeBehind(await lab.atOrigin.ended(), hello)).toBe(code);
      expect(closeCodeBehind(await lab.atClient.ended(), Buffer.alloc(0))).toBe(code);
      // Frames towards a server are masked, those towards a client are not (RFC 6455 §5.1).
      expect([lab.atOrigin.received.at(-7), lab.atClient.received[1]]).toEqual([0x82, 0x02]);
    }
  });

  const byOrigin: readonly [string, Buffer, number, string][] = [
    ['a masked frame', clientFrame({ payload: 'x' }), 1002, 'server_frame_masked'],
    ['a reserved opcode', frame({ opcode: 7 }), 1002, 'reserved_opcode:0x7'],
    [
      'a reason that is not UTF-8',
      frame({ opcode: 8, payload: closeCode(1000, '\xc0') }),
      1007,
      'invalid_close_reason',
    ],
  ];
  test.each(byOrigin)('the origin, by %s', async (_rule, bad, code, detail) => {
    const lab = await startWebSocketLab();
    lab.origin.write(Buffer.concat([world, bad, world]));
    expect(await lab.end).toEqual({ reason: 'websocket_error', detail: `websocket_codec:${detail}` });
    expect(closeCodeBehind(await lab.atClient.ended(), world)).toBe(code);
    expect(closeCodeBehind(await lab.atOrigin.ended(), Buffer.alloc(0))).toBe(code);
  });

  test('WS-18 the close frame for a server is masked with a key that nobody can foresee (§5.3)', async () => {
    const keys = new Set<string>();
    for (let count = 0; count < 4; count += 1) {
      const lab = await startWebSocketLab();
      lab.origin.write(clientFrame({ payload: 'x' }));
      await lab.end;
      const sent = await lab.atOrigin.ended();
      expect(sent.length).toBe(8);
      keys.add(sent.toString('hex', 2, 6));
    }
    expect(keys.size).toBe(4);
  });

  test('a message that begins inside another one', async () => {
    const lab = await startWebSocketLab();
    const first = clientFrame({ payload: 'a', isFinal: false });
    lab.client.write(Buffer.concat([first, hello]));
    expect(await lab.end).toMatchObject({ detail: 'websocket_codec:interrupted_message' });
    expect(closeCodeBehind(await lab.atOrigin.ended(), first)).toBe(1002);
  });

  test('is told where a frame may follow only: not inside one of the other direction', async () => {
    const lab = await startWebSocketLab();
    const half = hello.subarray(0, 8);
    lab.client.write(half);
    await lab.atOrigin.until(half);
    lab.origin.write(clientFrame({ payload: 'x' }));
    expect(await lab.end).toMatchObject({ reason: 'websocket_error' });
    expect(closeCodeBehind(await lab.atOrigin.ended(), half)).toBeUndefined();
    expect(closeCodeBehind(await lab.atClient.ended(), Buffer.alloc(0))).toBe(1002);
  });

  test('is told behind a head of which a part is held back', async () => {
    const lab = await startWebSocketLab();
    lab.client.write(hello.subarray(0, 3));
    await nextTurn();
    await nextTurn();
    lab.origin.write(clientFrame({ payload: 'x' }));
    await lab.end;
    expect(closeCodeBehind(await lab.atOrigin.ended(), Buffer.alloc(0))).toBe(1002);
  });

  test('is not told behind a close frame', async () => {
    const lab = await startWebSocketLab();
    const close = clientFrame(closing);
    lab.client.write(close);
    await lab.atOrigin.until(close);
    lab.origin.write(clientFrame({ payload: 'x' }));
    await lab.end;
    expect(closeCodeBehind(await lab.atOrigin.ended(), close)).toBeUndefined();
    expect(closeCodeBehind(await lab.atClient.ended(), Buffer.alloc(0))).toBe(1002);
  });
});

describe('what one side does not read makes the other wait', () => {
  test('and goes on when it is read', async () => {
    await using client = await tcpPair();
    await using origin = await tcpPair();
    const lab = await startWebSocketLab({
      pairs: { client: [client.near, client.far], origin: [origin.near, origin.far] },
    });
    lab.atClient.release();
    const message = frame({ payload: patterned(1024 * 1024), opcode: 2 });
    for (let count = 0; count < 24; count += 1) origin.far.write(message);
    await expect.poll(() => lab.originWire.isReading).toBe(false);
    expect(lab.clientWire.pendingBytes).toBeLessThan(1024 * 1024);
    let received = 0;
    client.far.on('data', (piece: Buffer) => {
      received += piece.length;
    });
    client.far.resume();
    await expect.poll(() => received, { timeout: 5_000 }).toBe(24 * message.length);
    await lab.stop();
  });

  test('a handler that is behind holds both directions back, with dispatchOverflow backpressure', async () => {
    const gates: (() => void)[] = [];
    const onStreamChunk = vi.fn<() => Promise<void>>(
      () =>
        new Promise((resolve) => {
          gates.push(resolve);
        }),
    );
    const lab = await startWebSocketLab({
      handler: { onStreamChunk },
      config: { flowRuntime: { dispatchQueueCapacity: 1, dispatchOverflow: 'backpressure' } },
    });
    lab.origin.write(Buffer.concat([world, world]));
    await expect.poll(() => lab.originWire.isReading).toBe(false);
    lab.client.write(hello);
    await expect.poll(() => lab.clientWire.isReading).toBe(false);
    // What had been read has passed: the observation is behind, not the traffic.
    expect([lab.atClient.received.length, lab.atOrigin.received.length]).toEqual([
      2 * world.length,
      hello.length,
    ]);
    while (onStreamChunk.mock.calls.length < 3 || gates.length > 0) {
      gates.shift()?.();
      await nextTurn();
    }
    await expect.poll(() => [lab.originWire.isReading, lab.clientWire.isReading]).toEqual([true, true]);
    await lab.stop();
  });
});

test('leaves no timer and no connection, however it ends', async () => {
  const before = openHandles();
  {
    await using client = await tcpPair();
    await using origin = await tcpPair();
    const lab = await startWebSocketLab({
      pairs: { client: [client.near, client.far], origin: [origin.near, origin.far] },
    });
    client.far.write(clientFrame({ opcode: 3 }));
    expect(await lab.end).toMatchObject({ reason: 'websocket_error' });
    client.far.end();
    origin.far.end();
    await Promise.all([lab.atClient.closed(), lab.atOrigin.closed()]);
  }
  await expectNothingLeft(before);
});
