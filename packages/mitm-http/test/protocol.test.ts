import { expect, test } from 'vitest';

import { alpnLabel, alpnProtocols, applicationProtocols, protocolOfAlpn } from '../src/protocol.ts';

test('the names of protocols are those of the event log', () => {
  expect(applicationProtocols).toEqual(['http1', 'http2', 'websocket', 'sse', 'streamable_http', 'tunnel']);
  expect(alpnProtocols).toEqual(['h2', 'http/1.1']);
});

test.each([
  ['http1', 'http/1.1'],
  ['http2', 'h2'],
  ['websocket', 'http/1.1'],
  ['sse', 'http/1.1'],
  ['streamable_http', 'http/1.1'],
  ['tunnel', undefined],
] as const)('%s is negotiated as %s', (protocol, label) => {
  expect(alpnLabel(protocol)).toBe(label);
});

test.each([
  ['h2', 'http2'],
  ['http/1.1', 'http1'],
  ['http/1.0', 'http1'],
  [false, 'http1'],
  [null, 'http1'],
  [undefined, 'http1'],
  ['', 'http1'],
  ['acme-tls/1', undefined],
] as const)('ALPN %s means %s', (label, protocol) => {
  expect(protocolOfAlpn(label)).toBe(protocol);
});
