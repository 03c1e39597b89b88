// What a client's stream does when its handshake is done, told by the stream alone.
import { PassThrough } from 'node:stream';

import { describe, expect, test, vi } from 'vitest';

import { watchAfterHandshake } from '../../src/handshake/after-handshake.ts';

function watched(): { readonly stream: PassThrough; readonly told: string[] } {
  const stream = new PassThrough({ allowHalfOpen: true });
  const told: string[] = [];
  // The reader of the stream, as a wire is.
  stream.on('error', () => {});
  watchAfterHandshake(stream, {
    failed: (error) => told.push(`failed ${error.message}`),
    closedUnused: () => told.push('closed unused'),
  });
  stream.resume();
  return { stream, told };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const tlsError = (code = 'ERR_SSL_BAD_RECORD_TYPE'): Error => Object.assign(new Error(code), { code });

describe('a client that leaves at once without a byte', () => {
  test('is told by its end', async () => {
    const { stream, told } = watched();
    stream.end();
    await turn();
    expect(told).toEqual(['closed unused']);
  });

  test('is told by its reset, once', async () => {
    const { stream, told } = watched();
    stream.emit('_tlsError', tlsError('ECONNRESET'));
    stream.destroy(tlsError('ECONNRESET'));
    await turn();
    expect(told).toEqual(['closed unused']);
  });

  test('is not told when it sent something', async () => {
    const { stream, told } = watched();
    stream.write('x');
    await turn();
    stream.end();
    await turn();
    expect(told).toEqual([]);
  });

  test('is not told when it stayed for a while: it connected for later', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    try {
      const { stream, told } = watched();
      vi.advanceTimersByTime(2_001);
      stream.end();
      await turn();
      expect(told).toEqual([]);
    } finally {
      vi.useRealTimers();
    }
  });

  test('is not told when it was us who closed', async () => {
    const { stream, told } = watched();
    stream.destroy();
    await turn();
    expect(told).toEqual([]);
  });
});

describe('an error of the TLS layer', () => {
  test('is told once and ends the stream, which would stay open otherwise', async () => {
    const { stream, told } = watched();
    stream.emit('_tlsError', tlsError());
    await turn();
    expect(told).toEqual(['failed ERR_SSL_BAD_RECORD_TYPE']);
    expect(stream.destroyed).toBe(true);
  });

  test('is told also after traffic, and after a while', async () => {
    const { stream, told } = watched();
    stream.write('x');
    await turn();
    stream.destroy(tlsError());
    await turn();
    expect(told).toEqual(['failed ERR_SSL_BAD_RECORD_TYPE']);
  });
});
