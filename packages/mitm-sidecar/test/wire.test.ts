// A wire loses and repeats nothing, whoever reads it when, and leaves the stream as it found it.
import { once } from 'node:events';
import { createServer, type Socket, connect } from 'node:net';
import { duplexPair } from 'node:stream';
import { connect as connectTls, createSecureContext, TLSSocket } from 'node:tls';

import { ByteBudget } from 'mitm-core';
import { describe, expect, test, vi } from 'vitest';

import { ByteLog } from '../../../testing/lab/byte-log.ts';
import { createLabAuthority } from '../../../testing/lab/certificates.ts';
import { destroyed } from '../../../testing/lab/clients.ts';
import { defaultDeadlineMs, within } from '../../../testing/lab/deadline.ts';
import { everySplit } from '../../../testing/lab/split.ts';
import { temporaryDirectory } from '../../../testing/lab/temporary.ts';
import { Wire } from '../src/wire.ts';
import {
  RecordingReader,
  closed,
  nextTurn,
  patterned,
  readToEnd,
  record,
  tcpPair,
  tlsPair,
} from './streams.ts';

const watchedEvents = ['data', 'end', 'error', 'close', 'drain', 'timeout', 'readable'];

function listenerCounts(stream: NodeJS.EventEmitter): Record<string, number> {
  return Object.fromEntries(watchedEvents.map((name) => [name, stream.listenerCount(name)]));
}

describe('before anybody reads', () => {
  test('bytes are held and come first, as one piece', async () => {
    const [near, far] = duplexPair();
    const wire = new Wire(near);
    far.write('one ');
    far.write('two');
    await vi.waitFor(() => expect(wire.heldBytes).toBe(7));
    const reader = record(wire);
    expect(reader.calls).toEqual(['data']);
    far.write(' three');
    await reader.until(() => reader.text === 'one two three');
    expect(wire.heldBytes).toBe(0);
  });

  test('what is held is counted, for as long as it is', async () => {
    const budget = new ByteBudget(() => 1_000);
    const ways: readonly ((wire: Wire) => void)[] = [
      (wire) => void record(wire),
      (wire) => wire.skip(7),
      (wire) => wire.destroy(),
      (wire) => wire.abort(),
      (wire) => void wire.release(),
      (wire) => wire.countIn(new ByteBudget(() => 1_000)),
    ];
    for (const letGo of ways) {
      const [near, far] = duplexPair();
      const wire = new Wire(near);
      far.write('one ');
      await vi.waitFor(() => expect(wire.heldBytes).toBe(4));
      wire.countIn(budget);
      expect([budget.held, wire.budget]).toEqual([4, budget]);
      far.write('two');
      await vi.waitFor(() => expect(budget.held).toBe(7));
      wire.skip(2);
      wire.pushBack(Buffer.from('ab'));
      expect(budget.held).toBe(7);
      letGo(wire);
      expect(budget.held).toBe(0);
      far.destroy();
      near.destroy();
    }
  });

  test('no more than a bound is held; then the peer has to wait, and nothing is lost', async () => {
    await using pair = await tcpPair();
    const wire = new Wire(pair.near);
    const sent = patterned(8 * 1024 * 1024);
    pair.far.write(sent);
    await vi.waitFor(() => expect(wire.isReading).toBe(false));
    const heldBytes = wire.heldBytes;
    expect(heldBytes).toBeGreaterThanOrEqual(65_536);
    await nextTurn();
    expect(wire.heldBytes).toBe(heldBytes);
    expect(heldBytes).toBeLessThan(200_000);
    const reader = record(wire);
    await reader.until(() => reader.pieces.reduce((sum, piece) => sum + piece.length, 0) === sent.length);
    expect(reader.bytes.equals(sent)).toBe(true);
  });

  test('the end and the close are kept, in order, behind the bytes', async () => {
    const [near, far] = duplexPair();
    const wire = new Wire(near);
    far.end('last words');
    await vi.waitFor(() => expect(wire.isEnded).toBe(true));
    near.destroy();
    await vi.waitFor(() => expect(wire.isClosed).toBe(true));
    const reader = record(wire);
    expect(reader.calls).toEqual(['data', 'end', 'close']);
    expect(reader.text).toBe('last words');
  });

  test('a stream that was over before the wire was made is told as such', async () => {
    const [near] = duplexPair();
    near.on('error', () => {});
    near.destroy(new Error('gone early'));
    await closed(near);
    const wire = new Wire(near);
    expect(wire.isClosed).toBe(true);
    const reader = record(wire);
    expect(reader.calls).toEqual(['close']);
    expect(reader.error?.message).toBe('gone early');
  });
});

describe('readers', () => {
  test('one after the other gets every byte once, wherever the first one stops', async () => {
    const sent = Buffer.from('head\r\n\r\nbody');
    const tried = await everySplit(
      sent,
      async (pieces) => {
        const [near, far] = duplexPair();
        const wire = new Wire(near);
        const first = record(wire);
        first.whenData = () => {
          const end = first.text.indexOf('\r\n\r\n');
          if (end === -1) return;
          wire.detach();
          wire.pushBack(first.bytes.subarray(end + 4));
        };
        for (const piece of pieces) far.write(piece);
        await first.until(() => first.text.includes('\r\n\r\n'));
        const second = record(wire);
        await second.until(() => second.text === 'body');
        return second.text;
      },
      { maxSplits: 60 },
    );
    expect(tried).toBeGreaterThan(20);
  });

  test('bytes put back come before those that arrived meanwhile', async () => {
    const [near, far] = duplexPair();
    const wire = new Wire(near);
    const first = record(wire);
    far.write('aaa');
    await first.called('data');
    wire.detach();
    far.write('bbb');
    await vi.waitFor(() => expect(wire.heldBytes).toBe(3));
    wire.pushBack(Buffer.from('222'));
    wire.pushBack(Buffer.from('111'));
    wire.pushBack(Buffer.alloc(0));
    expect(wire.heldBytes).toBe(9);
    expect(record(wire).text).toBe('111222bbb');
  });

  test.each([
    ['none', 0, 'abcdef'],
    ['some', 2, 'cdef'],
    ['all', 6, ''],
    ['more than there are', 100, ''],
  ])('skip drops held bytes from the front: %s', (_name, count, left) => {
    const [near] = duplexPair();
    const wire = new Wire(near);
    wire.skip(3);
    wire.pushBack(Buffer.from('abcdef'));
    wire.skip(count);
    expect(wire.heldBytes).toBe(left.length);
    expect(record(wire).text).toBe(left);
  });

  test('what is put back is a copy', () => {
    const [near] = duplexPair();
    const wire = new Wire(near);
    const bytes = Buffer.from('keep');
    wire.pushBack(bytes);
    bytes.fill(0);
    expect(record(wire).text).toBe('keep');
  });

  test('a reader that leaves while it gets held bytes is told nothing more', async () => {
    const [near, far] = duplexPair();
    const wire = new Wire(near);
    far.end('bytes');
    await vi.waitFor(() => expect(wire.isEnded).toBe(true));
    const reader = new RecordingReader();
    reader.whenData = () => wire.detach();
    wire.attach(reader);
    expect(reader.calls).toEqual(['data']);
    expect(record(wire).calls).toEqual(['end']);
  });

  test('a reader that asks for a pause while it gets held bytes has it', async () => {
    const [near, far] = duplexPair();
    const wire = new Wire(near);
    far.write('held');
    await vi.waitFor(() => expect(wire.heldBytes).toBe(4));
    wire.pause();
    const reader = new RecordingReader();
    reader.whenData = () => wire.pause();
    wire.attach(reader);
    expect(wire.isReading).toBe(false);
    far.write('more');
    await nextTurn();
    await nextTurn();
    expect(reader.text).toBe('held');
    reader.whenData = undefined;
    wire.resume();
    await reader.until(() => reader.text === 'heldmore');
  });

  test('pause stops the bytes and resume brings them', async () => {
    await using pair = await tcpPair();
    const wire = new Wire(pair.near);
    const reader = record(wire);
    wire.pause();
    wire.pause();
    pair.far.write('later');
    await nextTurn();
    expect(reader.calls).toEqual([]);
    wire.resume();
    wire.resume();
    await reader.until(() => reader.text === 'later');
  });
});

describe('a volatile wire', () => {
  test('copies what it holds, since the view is overwritten', () => {
    const [near] = duplexPair();
    const wire = new Wire(near, { isVolatile: true });
    const shared = Buffer.alloc(4);
    for (const word of ['abcd', 'efgh', 'ijkl']) {
      shared.write(word);
      wire.receive(shared);
    }
    shared.fill(0);
    expect(record(wire).text).toBe('abcdefghijkl');
  });

  test('hands the view on as it is while somebody reads', () => {
    const [near] = duplexPair();
    const wire = new Wire(near, { isVolatile: true });
    const reader = record(wire);
    const seen: Buffer[] = [];
    reader.whenData = (chunk) => seen.push(chunk);
    const shared = Buffer.from('view');
    wire.receive(shared);
    expect(seen[0]).toBe(shared);
  });

  test('does not listen for data itself', () => {
    const [near] = duplexPair();
    const wire = new Wire(near, { isVolatile: true });
    expect(near.listenerCount('data')).toBe(0);
    expect(wire.heldBytes).toBe(0);
  });

  test('says through isReading when the read callback has to stop', () => {
    const [near] = duplexPair();
    const wire = new Wire(near, { isVolatile: true });
    expect(wire.isReading).toBe(true);
    wire.receive(Buffer.alloc(65_536));
    expect(wire.isReading).toBe(false);
    record(wire);
    expect(wire.isReading).toBe(true);
  });
});

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

describe('silence', () => {
  test('adds up over the ticks, and traffic in either direction starts it anew', async () => {
    await using pair = await tcpPair();
    const wire = new Wire(pair.near);
    const reader = record(wire);
    wire.watchQuiet(20);
    await reader.until(() => reader.quietMs.length === 3);
    expect(reader.quietMs).toEqual([20, 40, 60]);
    pair.far.write('x');
    await reader.called('data');
    reader.quietMs = [];
    await reader.until(() => reader.quietMs.length === 2);
    expect(reader.quietMs).toEqual([20, 40]);
    wire.writeText('y');
    reader.quietMs = [];
    await reader.until(() => reader.quietMs.length === 1);
    expect(reader.quietMs).toEqual([20]);
  });

  test('is measured from the watch, for whoever watches with the same tick again', async () => {
    await using pair = await tcpPair();
    const wire = new Wire(pair.near);
    const reader = record(wire);
    wire.watchQuiet(40);
    await reader.called('quiet');
    const since = performance.now();
    wire.watchQuiet(40);
    reader.quietMs = [];
    await reader.until(() => reader.quietMs.length === 1);
    expect(reader.quietMs).toEqual([40]);
    expect(performance.now() - since).toBeGreaterThanOrEqual(38);
  });

  test('is not told after 0, nor after the end, and no timer is left', () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    try {
      const [near] = duplexPair();
      const wire = new Wire(near);
      const reader = record(wire);
      wire.watchQuiet(10);
      vi.advanceTimersByTime(13);
      expect(reader.quietMs).toEqual([10]);
      wire.watchQuiet(0);
      vi.advanceTimersByTime(1_000);
      expect([reader.quietMs, vi.getTimerCount()]).toEqual([[10], 0]);
      wire.watchQuiet(10);
      wire.destroy();
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe('release', () => {
  test('leaves no listener but one for errors, and puts the bytes back into the stream', async () => {
    await using pair = await tcpPair();
    const before = listenerCounts(pair.near);
    const wire = new Wire(pair.near);
    const reader = record(wire);
    wire.watchQuiet(1_000);
    pair.far.write('taken and given back');
    await reader.called('data');
    wire.detach();
    wire.pushBack(reader.bytes);
    expect(wire.release()).toBe(pair.near);
    expect(listenerCounts(pair.near)).toEqual({ ...before, error: (before['error'] ?? 0) + 1 });
    expect(pair.near.isPaused()).toBe(true);
    expect(wire.heldBytes).toBe(0);
    expect((await new ByteLog(pair.near).until('given back')).toString()).toBe('taken and given back');
  });

  test('leaves the stream to whoever has it then: it is no longer the wire’s to end', async () => {
    await using pair = await tcpPair();
    const wire = new Wire(pair.near);
    const stream = wire.release();
    wire.destroy();
    wire.abort();
    expect(stream.destroyed).toBe(false);
    stream.write('still there');
    expect((await new ByteLog(pair.far).until('still there')).toString()).toBe('still there');
  });

  test('lets TLS read a hello that was looked at before', async () => {
    await using authority = await createLabAuthority();
    const { certPem, keyPem } = await authority.issue(['localhost']);
    await using pair = await tcpPair();
    const client = connectTls({ socket: pair.far, servername: 'localhost', ca: authority.caPem });
    const secured = once(client, 'secureConnect');
    const wire = new Wire(pair.near);
    const reader = record(wire);
    reader.whenData = () => wire.detach();
    await reader.called('data');
    wire.pushBack(reader.bytes);
    const server = new TLSSocket(wire.release(), {
      isServer: true,
      secureContext: createSecureContext({ cert: certPem, key: keyPem }),
    });
    server.on('error', () => {});
    await within(secured, defaultDeadlineMs, 'the TLS handshake');
    expect(client.authorized).toBe(true);
    await destroyed(client);
  });

  test('an error afterwards does not end the process', async () => {
    const [near] = duplexPair();
    const wire = new Wire(near);
    wire.release();
    near.destroy(new Error('nobody minds'));
    await closed(near);
    expect(near.errored?.message).toBe('nobody minds');
  });

  test('of a stream that has ended puts nothing back', async () => {
    const [near, far] = duplexPair();
    const wire = new Wire(near);
    far.end('too late');
    await vi.waitFor(() => expect(wire.isEnded).toBe(true));
    wire.release();
    expect(near.errored).toBeNull();
    expect(near.readableLength).toBe(0);
  });
});
