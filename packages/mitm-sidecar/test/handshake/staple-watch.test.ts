// What is asked of an origin's staple, and what follows from it; what a staple is worth is tested where it is judged.
import { duplexPair } from 'node:stream';
import { TLSSocket } from 'node:tls';

import type { RevocationMode } from 'mitm-tls';
import { expect, test } from 'vitest';

import { StapleWatch } from '../../src/handshake/staple-watch.ts';

function watch(mode: RevocationMode): { readonly stream: TLSSocket; readonly staple: StapleWatch } {
  const [stream] = duplexPair();
  const tls = new TLSSocket(stream);
  return { stream: tls, staple: new StapleWatch(tls, mode) };
}

test.each(['off', 'passive_observe', 'enforce'] as const)(
  'in mode %s, a resumed session says nothing',
  (mode) => {
    const { staple } = watch(mode);
    expect(staple.facts()).toEqual({
      upstreamOcspStaplePresent: 'unknown',
      upstreamOcspStapleStatus: 'not_checked',
      revocationPolicyMode: mode,
      revocationDecision: 'no_signal',
    });
    expect(staple.refusal()).toBeUndefined();
  },
);

test('with mode off nobody listens', () => {
  expect(watch('off').stream.listenerCount('OCSPResponse')).toBe(0);
  expect(watch('enforce').stream.listenerCount('OCSPResponse')).toBe(1);
});
