// What is written to a wire arrives, however slowly the peer reads, and each way of ending is told to the peer for what it is.
import { once } from 'node:events';
import { createServer, type Socket, connect } from 'node:net';
import { duplexPair } from 'node:stream';

import { describe, expect, test, vi } from 'vitest';

import { ByteLog } from '../../../testing/lab/byte-log.ts';
import { destroyed } from '../../../testing/lab/clients.ts';
import { defaultDeadlineMs, within } from '../../../testing/lab/deadline.ts';
import { temporaryDirectory } from '../../../testing/lab/temporary.ts';
import { Wire } from '../src/wire.ts';
import { nextTurn, patterned, readToEnd, record, tcpPair, tlsPair } from './streams.ts';

describe('writing', () => {
  test.each([
    ['TCP', tcpPair],
    ['TLS', tlsPair],
  ])(
    'writeView keeps the bytes of a view that is overwritten at once, busy or not: %s',
    async (_name, make) => {
      await using pair = await make();
      const wire = new Wire(pair.near);
      const expected = patterned(12 * 1024 * 1024);
      const shared = Buffer.alloc(65_536);
      // The far side does not read yet, so all but the first views find the stream busy.
      pair.far.pause();
      let wasBusy = 0;
      for (let at = 0; at < expected.length; at += shared.length) {
        const length = expected.copy(shared, 0, at);
        if (wire.pendingBytes > 0) wasBusy += 1;
        wire.writeView(shared.subarray(0, length));
        shared.fill(0);
      }
      expect(wasBusy).toBeGreaterThan(30);
      wire.end();
      expect((await readToEnd(pair.far)).equals(expected)).toBe(true);
    },
  );

  test('writeView into idle TLS is encrypted before the call returns', async () => {
    await using pair = await tlsPair();
    const wire = new Wire(pair.near);
    const log = new ByteLog(pair.far);
    const shared = Buffer.alloc(16_000);
    let expected = '';
    for (const letter of ['a', 'b', 'c']) {
      shared.fill(letter);
      expected += letter.repeat(shared.length);
      await vi.waitFor(() => expect(wire.pendingBytes).toBe(0));
      wire.writeView(shared);
      shared.fill('!');
      await log.until((received) => received.length === expected.length);
    }
    expect(log.received.toString()).toBe(expected);
  });

  test('tells by false that the peer is slower, and by onDrain that it has caught up', async () => {
    await using pair = await tcpPair();
    const wire = new Wire(pair.near);
    const reader = record(wire);
    expect(wire.hasWritten).toBe(false);
    const piece = patterned(1024 * 1024);
    let count = 1;
    while (wire.write(piece) && count < 64) count += 1;
    expect(wire.hasWritten).toBe(true);
    expect(reader.calls).not.toContain('drain');
    const received = readToEnd(pair.far);
    await reader.called('drain');
    expect(wire.pendingBytes).toBe(0);
    wire.end();
    expect((await received).length).toBe(count * piece.length);
  });

  test('writeBorrowed copies nothing, and says when the view is free again', async () => {
    await using pair = await tcpPair();
    const wire = new Wire(pair.near);
    const reader = record(wire);
    pair.far.pause();
    const view = Buffer.alloc(1 << 20);
    const sent: Buffer[] = [];
    let isFree = true;
    for (let round = 1; isFree; round += 1) {
      view.fill(round);
      sent.push(Buffer.from(view));
      isFree = wire.writeBorrowed(view);
    }
    // The system holds what fits; the rest is still taken from the view.
    const whole = readToEnd(pair.far);
    await reader.called('drain');
    view.fill(0);
    wire.end();
    expect((await whole).equals(Buffer.concat(sent))).toBe(true);
  });

  test('writeText writes one byte a character', async () => {
    const [near, far] = duplexPair();
    new Wire(near).writeText('caf\u00e9\r\n');
    expect(await new ByteLog(far).until('\r\n')).toEqual(Buffer.from('caf\u00e9\r\n', 'latin1'));
  });

  test('to a stream that is ended or gone does nothing and asks for no wait', async () => {
    const [near] = duplexPair();
    const wire = new Wire(near);
    wire.end();
    expect(wire.write(Buffer.from('x'))).toBe(true);
    wire.destroy();
    await vi.waitFor(() => expect(wire.isClosed).toBe(true));
    expect(wire.writeText('x')).toBe(true);
    expect(wire.writeView(Buffer.from('x'))).toBe(true);
    wire.end();
    wire.destroy();
    wire.abort();
    expect(wire.hasWritten).toBe(false);
  });
});

describe('the end', () => {
  test.each([
    ['TCP', tcpPair],
    ['TLS', tlsPair],
  ])('of one direction leaves the other one open: %s', async (_name, make) => {
    await using pair = await make();
    const wire = new Wire(pair.near);
    const reader = record(wire);
    pair.far.end('question');
    await reader.called('end');
    expect(wire.isEnded).toBe(true);
    expect(wire.isClosed).toBe(false);
    wire.writeText('answer');
    wire.end();
    expect((await new ByteLog(pair.far).ended()).toString()).toBe('answer');
    await reader.called('close');
    expect(reader.calls).toEqual(['data', 'end', 'close']);
    expect(reader.error).toBeUndefined();
  });

  test('end tells when everything has left, not before', async () => {
    await using pair = await tcpPair();
    const wire = new Wire(pair.near);
    record(wire);
    const bytes = patterned(16 * 1024 * 1024);
    wire.write(bytes);
    let hasLeft = false;
    wire.end(() => {
      hasLeft = true;
    });
    await nextTurn();
    expect(hasLeft).toBe(false);
    expect((await readToEnd(pair.far)).equals(bytes)).toBe(true);
    await vi.waitFor(() => expect(hasLeft).toBe(true));
  });

  test('end tells at once when there is nothing to end', async () => {
    const [near] = duplexPair();
    const wire = new Wire(near);
    wire.destroy();
    await vi.waitFor(() => expect(wire.isClosed).toBe(true));
    const left = vi.fn<() => void>();
    wire.end(left);
    expect(left).toHaveBeenCalledOnce();
  });

  test('a reset of the peer is told with its error, once', async () => {
    await using pair = await tcpPair();
    const wire = new Wire(pair.near);
    const reader = record(wire);
    pair.far.resetAndDestroy();
    await reader.called('close');
    expect(reader.calls).toEqual(['close']);
    expect(reader.error).toMatchObject({ code: 'ECONNRESET' });
  });

  test('destroy tells its own reader nothing', async () => {
    await using pair = await tcpPair();
    const wire = new Wire(pair.near);
    const reader = record(wire);
    wire.destroy(new Error('enough'));
    await vi.waitFor(() => expect(wire.isClosed).toBe(true));
    expect(reader.calls).toEqual([]);
  });

  test('abort on TCP is a reset', async () => {
    await using pair = await tcpPair();
    const log = new ByteLog(pair.far);
    const wire = new Wire(pair.near);
    wire.writeText('half a mess');
    await log.until('half a mess');
    wire.abort();
    await log.closed();
    expect(log.error).toMatchObject({ code: 'ECONNRESET' });
  });

  test('abort in the same turn as the end closes the stream all the same', async () => {
    await using pair = await tcpPair();
    const wire = new Wire(pair.near);
    const ended = once(pair.near, 'close');
    wire.end();
    wire.abort();
    await within(ended, defaultDeadlineMs, 'the end of the stream');
    expect(pair.near.destroyed).toBe(true);
  });

  test('abort on TLS sends no close_notify, an orderly end does', async () => {
    const sizes: number[] = [];
    for (const isOrderly of [false, true]) {
      await using pair = await tlsPair();
      const wire = new Wire(pair.near);
      const log = new ByteLog(pair.far);
      wire.writeText('half a mess');
      await log.until('half a mess');
      const before = pair.tcp.far.bytesRead;
      if (isOrderly) wire.end();
      else wire.abort();
      await log.ended();
      sizes.push(pair.tcp.far.bytesRead - before);
    }
    expect(sizes[0]).toBe(0);
    expect(sizes[1]).toBeGreaterThan(0);
  });

  test('abort on a pipe, which has no reset, just ends it', async () => {
    await using folder = await temporaryDirectory();
    const server = createServer();
    server.listen(folder.resolve('socket'));
    await once(server, 'listening');
    const accepted = new Promise<Socket>((resolve) => {
      server.once('connection', resolve);
    });
    const far = connect(folder.resolve('socket'));
    const near = await accepted;
    const log = new ByteLog(far);
    const wire = new Wire(near);
    wire.abort();
    await log.ended();
    expect(near.destroyed).toBe(true);
    await destroyed(far);
    server.close();
  });
});
