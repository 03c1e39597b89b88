// An origin may switch to what the client offered, and to nothing else.
import { describe, expect, test } from 'vitest';

import { chosenProtocol, isOffered, unaskedSwitch } from '../../src/relay/upgrade.ts';
import { h2ResponseOf, responseOf } from '../messages.ts';

const switching = responseOf('HTTP/1.1 101 Switching Protocols', 'Upgrade: WebSocket', 'Connection: Upgrade');
const silent = responseOf('HTTP/1.1 101 Switching Protocols', 'X: y');

test('the choice is what a 101 names, in lower case; HTTP/2 makes none', () => {
  expect(chosenProtocol(switching)).toBe('websocket');
  expect(chosenProtocol(silent)).toBe('');
  expect(chosenProtocol(h2ResponseOf(200, ['server', 's']))).toBe('');
});

describe('a choice', () => {
  test.each([
    ['was the only offer', 'websocket', 'websocket', true],
    ['was one of several offers', 'h2c,websocket', 'websocket', true],
    ['was one of several offers, with spaces', 'h2c , websocket', 'websocket', true],
    ['of two layers, both offered', 'tls/1.0,http/1.1', 'http/1.1, tls/1.0', true],
    ['of two layers, one not offered', 'http/1.1', 'tls/1.0,http/1.1', false],
    ['was not offered', 'h2c', 'websocket', false],
    ['only begins like an offer', 'websocket', 'web', false],
    ['of nothing', 'websocket', '', false],
    ['where nothing was offered', '', 'websocket', false],
    ['of nothing where nothing was offered', '', '', false],
  ])('%s', (_rule, offered, chosen, expected) => {
    expect(isOffered(offered, chosen)).toBe(expected);
  });
});

test.each([
  ['what was chosen', switching, '101 to websocket, which was not asked for'],
  ['that nothing was', silent, '101 to no protocol, which was not asked for'],
])('a switch that nobody asked for is a 502 that tells %s', (_what, head, detail) => {
  expect(unaskedSwitch(head)).toMatchObject({
    reason: 'mitm_http_error',
    side: 'upstream',
    detail,
    reply: { status: 502 },
  });
});
