import { describe, expect, test } from 'vitest';

import { h2Code } from '../../src/h2/error-codes.ts';
import type { FrameFault } from '../../src/h2/frames.ts';
import { assumedMaxStreams, maxSettingsBytes, PeerSettings, writeSettings } from '../../src/h2/settings.ts';
import { optionsOf } from './session-case.ts';
import { settings } from './wire-frames.ts';

function apply(peer: PeerSettings, ...pairs: readonly (readonly [number, number])[]): FrameFault | undefined {
  const bytes = settings(...pairs);
  return peer.apply(bytes, 9, bytes.length);
}

describe('what a peer announces', () => {
  test('before its SETTINGS the initial values count, and a guess for streams', () => {
    expect(new PeerSettings(true)).toMatchObject({
      headerTableBytes: 4096,
      maxConcurrentStreams: assumedMaxStreams,
      initialWindowBytes: 65_535,
      maxHeaderListBytes: Number.POSITIVE_INFINITY,
      isConnectProtocolEnabled: false,
      isKnown: false,
    });
  });

  test('SETTINGS that say nothing set no limit for streams', () => {
    const peer = new PeerSettings(true);
    expect(apply(peer)).toBeUndefined();
    expect(peer).toMatchObject({ isKnown: true, maxConcurrentStreams: Number.POSITIVE_INFINITY });
  });

  test('each setting goes to its place, the later of two counts, and unknown ones are skipped', () => {
    const peer = new PeerSettings(false);
    expect(
      apply(peer, [1, 0], [3, 7], [1, 100], [99, 1], [4, 5], [6, 9], [8, 1], [9, 1], [2, 1]),
    ).toBeUndefined();
    expect(peer).toMatchObject({
      headerTableBytes: 100,
      lowestHeaderTableBytes: 0,
      maxConcurrentStreams: 7,
      initialWindowBytes: 5,
      maxHeaderListBytes: 9,
      isConnectProtocolEnabled: true,
    });
    apply(peer, [1, 200]);
    expect([peer.lowestHeaderTableBytes, peer.headerTableBytes]).toEqual([100, 200]);
  });

  test.each([
    ['ENABLE_PUSH above 1', 2, 2, h2Code.protocolError],
    ['a window above 2^31 - 1', 4, 0x8000_0000, h2Code.flowControlError],
    ['a frame size below 16384', 5, 16_383, h2Code.protocolError],
    ['a frame size above 2^24 - 1', 5, 16_777_216, h2Code.protocolError],
    ['ENABLE_CONNECT_PROTOCOL above 1', 8, 2, h2Code.protocolError],
    ['NO_RFC7540_PRIORITIES above 1', 9, 2, h2Code.protocolError],
  ])('refused: %s', (_rule, id, value, code) => {
    expect(apply(new PeerSettings(false), [id, value])?.code).toBe(code);
  });

  test('a server must not announce push (RFC 9113 §6.5.2)', () => {
    expect(apply(new PeerSettings(true), [2, 0])).toBeUndefined();
    expect(apply(new PeerSettings(true), [2, 1])?.code).toBe(h2Code.protocolError);
  });

  test('extended CONNECT cannot be taken back (RFC 8441 §3)', () => {
    const peer = new PeerSettings(true);
    expect(apply(peer, [8, 0], [8, 1], [8, 1])).toBeUndefined();
    expect(apply(peer, [8, 0])?.code).toBe(h2Code.protocolError);
  });
});

describe('what we announce', () => {
  test.each([
    [
      'a client: no push',
      optionsOf('client'),
      [
        [2, 0],
        [4, 262_144],
        [6, 65_536],
      ],
    ],
    [
      'a server: its number of streams',
      optionsOf('server'),
      [
        [3, 128],
        [4, 262_144],
        [6, 65_536],
      ],
    ],
    [
      'a default window is not sent',
      optionsOf('server', { initialWindowBytes: 65_535 }),
      [
        [3, 128],
        [6, 65_536],
      ],
    ],
    [
      'extended CONNECT',
      optionsOf('server', { enableConnectProtocol: true }),
      [
        [3, 128],
        [4, 262_144],
        [6, 65_536],
        [8, 1],
      ],
    ],
    [
      'never of a client',
      optionsOf('client', { enableConnectProtocol: true }),
      [
        [2, 0],
        [4, 262_144],
        [6, 65_536],
      ],
    ],
  ])('%s', (_rule, options, pairs) => {
    const out = Buffer.alloc(maxSettingsBytes + 2);
    const end = writeSettings(options, out, 2);
    const expected = settings(...pairs.map(([id = 0, value = 0]) => [id, value] as const));
    expect(out.subarray(2, end).equals(expected.subarray(9))).toBe(true);
  });
});
