// Neither side speaks a version that the other one does not have, unless bridging allows it.
import { describe, expect, test } from 'vitest';

import {
  agreedDownstream,
  agreedWithoutOrigin,
  type AlpnRules,
  offeredUpstream,
} from '../../src/lanes/alpn.ts';

const mirrored: AlpnRules = { allowsHttp2: true, bridges: false };
const bridged: AlpnRules = { allowsHttp2: true, bridges: true };
const old: AlpnRules = { allowsHttp2: false, bridges: false };
const oldBridged: AlpnRules = { allowsHttp2: false, bridges: true };

const both = ['h2', 'http/1.1'];

describe('the origin is offered', () => {
  const rows: readonly [string, readonly string[], AlpnRules, readonly string[]][] = [
    ['both, to a client that offers both', both, mirrored, both],
    ['both in our order, whatever the client’s is', ['http/1.1', 'h2'], mirrored, both],
    ['HTTP/2 only, for a client that has no other', ['h2'], mirrored, ['h2']],
    ['HTTP/1 only, for a client that has no other', ['http/1.1'], mirrored, ['http/1.1']],
    ['HTTP/1, for a client that offers nothing', [], mirrored, ['http/1.1']],
    ['HTTP/1, for a client that offers what nobody knows', ['spdy/3', 'http/1.0'], mirrored, ['http/1.1']],
    ['nothing that we don’t speak', ['h3', 'h2', 'http/1.1'], mirrored, both],
    ['HTTP/1 only, where HTTP/2 is switched off', both, old, ['http/1.1']],
    ['HTTP/1 also for HTTP/2 only, where that is switched off', ['h2'], old, ['http/1.1']],
    ['both, with a bridge', ['http/1.1'], bridged, both],
    ['both, with a bridge, for a client that offers nothing', [], bridged, both],
    ['HTTP/1 only, with a bridge where HTTP/2 is switched off', both, oldBridged, ['http/1.1']],
  ];
  test.each(rows)('%s', (_rule, offered, rules, expected) => {
    expect(offeredUpstream(offered, rules)).toEqual(expected);
  });
});

describe('the client gets', () => {
  const rows: readonly [string, readonly string[], string | undefined, AlpnRules, readonly string[]][] = [
    ['HTTP/2, where the origin chose it', both, 'h2', mirrored, ['h2']],
    ['HTTP/1, where the origin chose that', both, 'http/1.1', mirrored, ['http/1.1']],
    ['no protocol, where the origin chose none', both, undefined, mirrored, []],
    ['HTTP/1, where it did not offer HTTP/2', ['http/1.1'], 'h2', mirrored, ['http/1.1']],
    ['HTTP/1, where HTTP/2 is switched off', both, 'h2', old, ['http/1.1']],
    ['HTTP/2, with a bridge, whatever the origin chose', both, 'http/1.1', bridged, ['h2']],
    ['HTTP/2, with a bridge, where the origin chose none', both, undefined, bridged, ['h2']],
    ['HTTP/1, with a bridge, where it offered no other', ['http/1.1'], 'h2', bridged, ['http/1.1']],
    ['HTTP/1, with a bridge, where nobody chose any', [], undefined, bridged, ['http/1.1']],
    ['HTTP/1, with a bridge where HTTP/2 is switched off', both, 'h2', oldBridged, ['http/1.1']],
  ];
  test.each(rows)('%s', (_rule, offered, chosen, rules, expected) => {
    expect(agreedDownstream(offered, chosen, rules)).toEqual(expected);
  });
});

describe('where no origin is reached, the answer of our own comes in', () => {
  test.each([
    ['HTTP/1', both, ['http/1.1']],
    ['HTTP/1 to whom nothing was offered by', [], ['http/1.1']],
    ['HTTP/2 to a client that has no other', ['h2'], ['h2']],
  ])('%s', (_rule, offered, expected) => {
    expect(agreedWithoutOrigin(offered)).toEqual(expected);
  });
});
