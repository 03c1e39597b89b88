// A connection that we close first reads on for a while, so that its last answer arrives.
import { duplexPair } from 'node:stream';

import { expect, test, vi } from 'vitest';

import { ByteLog } from '../../../testing/lab/byte-log.ts';
import { expectNothingLeft, openHandles } from '../../../testing/lab/resources.ts';
import { linger } from '../src/linger.ts';
import { Wire } from '../src/wire.ts';
import { patterned, tcpPair } from './streams.ts';

test('a client that is still sending gets the whole answer', async () => {
  const before = openHandles();
  {
    await using pair = await tcpPair();
    const wire = new Wire(pair.near);
    // Far more than the buffers of the kernel hold: without reading on, the answer would be lost in a reset.
    pair.far.write(patterned(8 * 1024 * 1024));
    const log = new ByteLog(pair.far);
    wire.writeText('413');
    wire.end();
    linger(wire);
    expect((await log.ended()).toString()).toBe('413');
    expect(log.error).toBeUndefined();
    pair.far.end();
    await vi.waitFor(() => expect(wire.isClosed).toBe(true));
    expect(pair.far.bytesWritten).toBe(8 * 1024 * 1024);
  }
  await expectNothingLeft(before);
});

test('a client that never ends is left when time is up', async () => {
  await using pair = await tcpPair();
  const wire = new Wire(pair.near);
  const since = performance.now();
  wire.end();
  linger(wire, 30);
  await vi.waitFor(() => expect(pair.near.destroyed).toBe(true));
  expect(performance.now() - since).toBeGreaterThanOrEqual(28);
});

test('what had been held is thrown away, too', () => {
  const [near] = duplexPair();
  const wire = new Wire(near);
  wire.pushBack(Buffer.from('leftover'));
  linger(wire);
  expect(wire.heldBytes).toBe(0);
  near.destroy();
});

test('a stream that is closed needs nothing', async () => {
  const before = openHandles();
  const [near] = duplexPair();
  const wire = new Wire(near);
  near.destroy();
  await vi.waitFor(() => expect(wire.isClosed).toBe(true));
  linger(wire);
  await expectNothingLeft(before, 100);
});
