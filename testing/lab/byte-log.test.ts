// Waiting for bytes ends with the bytes, with the stream, or with the deadline, and each says what did arrive.
import { duplexPair } from 'node:stream';

import { expect, test } from 'vitest';

import { ByteLog, readable } from './byte-log.ts';

test('a wait sees bytes that come in pieces, by text, bytes or a predicate', async () => {
  const [near, far] = duplexPair();
  const log = new ByteLog(near);
  const waits = Promise.all([
    log.until('\r\n\r\n'),
    log.until(Buffer.from([0xff])),
    log.until((all) => all.length >= 6),
  ]);
  far.write('a\r\n');
  far.write('\r\n');
  far.write(Buffer.from([0xff]));
  for (const received of await waits) expect(received.toString('latin1').startsWith('a\r\n')).toBe(true);
  expect(log.received.length).toBe(6);
});

test('a stream that ends first is an error that shows what came', async () => {
  const [near, far] = duplexPair();
  const log = new ByteLog(near);
  far.end('half');
  await expect(log.until('whole')).rejects.toThrow('ended before the awaited bytes, after "half"');
  expect((await log.ended()).toString()).toBe('half');
  expect(log.hasEnded).toBe(true);
});

test("a destroyed stream's error is kept", async () => {
  const [near] = duplexPair();
  const log = new ByteLog(near);
  const error = new Error('planted');
  near.destroy(error);
  await log.closed();
  expect(log.error).toBe(error);
  await expect(log.until('x')).rejects.toMatchObject({ cause: error });
});

test('silence ends at the deadline', async () => {
  const [near, far] = duplexPair();
  const log = new ByteLog(near);
  far.write('so far');
  await expect(log.until('more', 20)).rejects.toThrow('the awaited bytes (received: "so far")');
});

test('a released stream is paused and whole for its next reader', async () => {
  const [near, far] = duplexPair();
  const first = new ByteLog(near);
  far.write('one');
  await first.until('one');
  expect(first.release().toString()).toBe('one');
  far.write('two');
  const second = new ByteLog(near);
  expect((await second.until('two')).toString()).toBe('two');
});

test('unprintable bytes are shown escaped, and long ones cut', () => {
  expect(readable(Buffer.from([0x41, 0x0d, 0x0a, 0x00, 0xe9]))).toBe('"A\\r\\n\\u0000\\u00e9"');
  expect(readable(Buffer.alloc(10, 'a'), 3)).toBe('"aaa" and 7 bytes more');
});
