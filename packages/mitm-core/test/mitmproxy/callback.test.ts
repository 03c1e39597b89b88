import { describe, expect, test } from 'vitest';

import {
  parseTlsCallback,
  TlsCallbackError,
  tlsCallbackHooks,
  tlsCallbackSchema,
} from '../../src/mitmproxy/callback.ts';

const least = { schema: tlsCallbackSchema, hook: 'tls_failed_client', flow_id: 'f' };

test('the hooks are a stable contract', () => {
  expect(tlsCallbackHooks).toEqual([
    'tls_handshake_started_client',
    'tls_handshake_started_server',
    'tls_handshake_succeeded_client',
    'tls_handshake_succeeded_server',
    'tls_failed_client',
    'tls_failed_server',
  ]);
});

test('a line with everything is read under our names', () => {
  const line = JSON.stringify({
    ...least,
    client_addr: '[::1]:5',
    server_host: 'a.test',
    server_port: 443,
    sni: 's.test',
    alpn: 'h2',
    tls_version: 'TLSv1.3',
    error: 'e',
    provider_error_class: 'c',
    provider_error_code: 'k',
    provider_error_detail: 'd',
    newer_field: true,
  });
  expect(parseTlsCallback(line)).toEqual({
    hook: 'tls_failed_client',
    flowId: 'f',
    clientAddr: '[::1]:5',
    serverHost: 'a.test',
    serverPort: 443,
    sni: 's.test',
    alpn: 'h2',
    tlsVersion: 'TLSv1.3',
    error: 'e',
    providerErrorClass: 'c',
    providerErrorCode: 'k',
    providerErrorDetail: 'd',
  });
});

test('what mitmproxy did not tell is unknown', () => {
  expect(parseTlsCallback(`${JSON.stringify(least)}\n`)).toMatchObject({
    clientAddr: '<unknown>',
    serverHost: '<unknown>',
    serverPort: 0,
  });
});

describe('a line that is no callback is refused with what is wrong', () => {
  test.each<[string, string, string]>([
    ['empty', '', 'not JSON'],
    ['cut off', '{"schema":', 'not JSON'],
    ['no object', '[]', 'line'],
    ['another schema', JSON.stringify({ ...least, schema: 'v2' }), 'schema'],
    ['an unknown hook', JSON.stringify({ ...least, hook: 'tls_clienthello' }), 'hook'],
    ['no flow', JSON.stringify({ ...least, flow_id: '' }), 'flow_id'],
    ['a port beyond all ports', JSON.stringify({ ...least, server_port: 65_536 }), 'server_port'],
    ['an error that is no text', JSON.stringify({ ...least, error: 1 }), 'error'],
    ['very long', `{"schema":"${'x'.repeat(500)}"}`, '…'],
  ])('%s', (_rule, line, named) => {
    const attempt = (): unknown => parseTlsCallback(line);
    expect(attempt).toThrow(TlsCallbackError);
    expect(attempt).toThrow(named);
  });
});
