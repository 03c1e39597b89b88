// A wire loses and repeats nothing, whoever reads it when, and leaves the stream as it found it.
import { once } from 'node:events';
import { duplexPair } from 'node:stream';
import { connect as connectTls, createSecureContext, TLSSocket } from 'node:tls';

import { ByteBudget } from 'mitm-core';
import { describe, expect, test, vi } from 'vitest';

import { ByteLog } from '../../../testing/lab/byte-log.ts';
import { createLabAuthority } from '../../../testing/lab/certificates.ts';
import { destroyed } from '../../../testing/lab/clients.ts';
import { defaultDeadlineMs, within } from '../../../testing/lab/deadline.ts';
import { everySplit } from '../../../testing/lab/split.ts';
import { Wire } from '../src/wire.ts';
import { RecordingReader, closed, nextTurn, patterned, record, tcpPair } from './streams.ts';

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
