import { describe, expect, test } from 'vitest';

import { H2MessageError } from '../../src/h2/message-error.ts';
import { joinedCookie, parseH2Request } from '../../src/h2/request-head.ts';
import type { HeaderList } from '../../src/header-map.ts';
import { codeOf, errorOf } from '../wire-text.ts';

const get = [':method', 'GET', ':scheme', 'https', ':authority', 'example.com', ':path', '/a?b'];

/** GET with some pseudo fields replaced, or left out where `undefined`. */
function pseudo(changes: Readonly<Record<string, string | undefined>>): string[] {
  const list: string[] = [];
  const all = {
    ':method': 'GET',
    ':scheme': 'https',
    ':authority': 'example.com',
    ':path': '/',
    ...changes,
  };
  for (const [name, value] of Object.entries(all)) if (value !== undefined) list.push(name, value);
  return list;
}

function refusal(fields: HeaderList): unknown {
  return codeOf(() => parseH2Request(fields));
}

describe('what a request says', () => {
  test('pseudo fields become facts, the list stays as it came', () => {
    const fields = [...get, 'accept', '*/*', 'content-length', '5', 'x', '1'];
    const head = parseH2Request(fields);
    expect(head).toMatchObject({
      version: 'HTTP/2',
      method: 'GET',
      scheme: 'https',
      authority: 'example.com',
      path: '/a?b',
      target: '/a?b',
      protocol: '',
      host: 'example.com',
      regularFrom: 8,
      headerCount: 3,
      contentLength: 5,
      isContentLengthRepeated: false,
      expectsContinue: false,
      hasExpect: false,
      hasHostField: false,
      hasOneHopFields: false,
      hasCookieCrumbs: false,
      sensitiveNames: undefined,
    });
    expect(head.fields).toBe(fields);
  });

  test('the order of pseudo fields means nothing (RFC 9113 §8.3)', () => {
    const fields = [':path', '/', ':authority', 'a', ':method', 'GET', ':scheme', 'http'];
    expect(parseH2Request(fields)).toMatchObject({ path: '/', host: 'a', contentLength: -1 });
  });

  test('names that must not be indexed are kept (RFC 7541 §7.1.3)', () => {
    const names = new Set(['authorization']);
    expect(parseH2Request(get, names).sensitiveNames).toBe(names);
  });

  test.each([
    ['100-continue', '100-continue', true],
    ['in any case', '100-Continue', true],
    ['in a list', 'x, 100-continue', true],
    ['another one is for the origin to judge', 'x', false],
  ])('RFC 9110 §10.1.1 expect: %s', (_rule, value, expectsContinue) => {
    expect(parseH2Request([...get, 'expect', value])).toMatchObject({ expectsContinue, hasExpect: true });
  });

  test('expectations in several fields are one list', () => {
    expect(parseH2Request([...get, 'expect', 'x', 'expect', '100-continue']).expectsContinue).toBe(true);
  });

  test.each(['http2-settings', 'proxy-authorization', 'proxy-authenticate', 'proxy-authentication-info'])(
    '%s is noted as never sent on',
    (name) => {
      expect(parseH2Request([...get, name, 'x']).hasOneHopFields).toBe(true);
    },
  );

  test.each([
    ['one field', ['content-length', '5'], false],
    ['two equal fields', ['content-length', '5', 'content-length', '5'], true],
    ['a list', ['content-length', '5, 5'], true],
  ])('content-length in %s', (_rule, fields, isContentLengthRepeated) => {
    expect(parseH2Request([...get, ...fields])).toMatchObject({ contentLength: 5, isContentLengthRepeated });
  });
});

describe('headers, as one who knows nothing of HTTP/2 expects them', () => {
  test('H2-02 a host made of :authority comes first', () => {
    const { headers } = parseH2Request([...get, 'accept', '*/*']);
    expect(headers.list).toEqual(['host', 'example.com', 'accept', '*/*']);
  });

  test('a host that was sent stays where it is', () => {
    const fields = ['accept', '*/*', 'host', 'example.com'];
    expect(parseH2Request([...get, ...fields]).headers.list).toEqual(fields);
    expect(parseH2Request([...pseudo({ ':authority': undefined }), ...fields]).headers.list).toEqual(fields);
  });

  test('RFC 9113 §8.2.3 the crumbs of a cookie are one field, where the first was', () => {
    const head = parseH2Request([...get, 'a', '1', 'cookie', 'x=1', 'b', '2', 'cookie', 'y=2', 'cookie', '']);
    expect(head.hasCookieCrumbs).toBe(true);
    expect(head.headers.list).toEqual(['host', 'example.com', 'a', '1', 'cookie', 'x=1; y=2', 'b', '2']);
    expect(head.headerCount).toBe(5);
  });

  test('crumbs are joined beside a host that was sent too', () => {
    const head = parseH2Request([...get, 'cookie', 'x=1', 'host', 'example.com', 'cookie', 'y=2']);
    expect(head.headers.list).toEqual(['cookie', 'x=1; y=2', 'host', 'example.com']);
  });

  test('they are made once', () => {
    const head = parseH2Request(get);
    expect(head.headers).toBe(head.headers);
  });

  test('joining begins where it is told, and without a cookie there is none', () => {
    expect(joinedCookie(['cookie', 'a', 'cookie', 'b', 'cookie', 'c'], 2)).toBe('b; c');
    expect(joinedCookie(['a', 'b'], 0)).toBe('');
  });
});

describe('RFC 9113 §8.3 pseudo fields', () => {
  test.each([
    ['unknown', [...get, ':x', '1'], 'unknown_pseudo_field'],
    ['of responses', [':status', '200', ...get], 'unknown_pseudo_field'],
    ['with a name in upper case', pseudo({ ':Path': '/' }), 'unknown_pseudo_field'],
    ['behind a regular field', ['accept', '*/*', ...get], 'missing_pseudo_field'],
    [
      'behind a regular field, though all are there',
      [...get, 'a', '1', ':path', '/'],
      'misplaced_pseudo_field',
    ],
    ['an unknown one behind a regular field', [...get, 'a', '1', ':x', '/'], 'misplaced_pseudo_field'],
  ])('%s', (_rule, fields, code) => {
    expect(refusal(fields)).toBe(code);
  });

  test.each([':method', ':scheme', ':authority', ':path'])('%s twice', (name) => {
    expect(refusal([...get, name, 'x'])).toBe('repeated_pseudo_field');
  });

  test.each([':method', ':scheme', ':authority', ':path', ':protocol'])('%s empty', (name) => {
    expect(refusal(pseudo({ [name]: '' }))).toBe('empty_pseudo_field');
  });

  test.each([':method', ':scheme', ':path'])('§8.3.1 without %s', (name) => {
    const error = errorOf(() => parseH2Request(pseudo({ [name]: undefined })));
    expect(error).toBeInstanceOf(H2MessageError);
    expect(error).toMatchObject({ code: 'missing_pseudo_field', message: `the request has no ${name}` });
  });
});

// What would become another line, another field or another request in HTTP/1.
const tricks = [
  ['CR LF', (text: string) => `${text}\r\nx: y`],
  ['LF', (text: string) => `${text}\nx`],
  ['CR', (text: string) => `${text}\rx`],
  ['NUL', (text: string) => `${text}\0`],
  ['a space behind', (text: string) => `${text} `],
  ['a space before', (text: string) => ` ${text}`],
  ['a space inside', (text: string) => `${text} HTTP/1.1`],
  ['a tab', (text: string) => `${text}\t`],
  ['DEL', (text: string) => `${text}\u007f`],
  ['a byte beyond ASCII', (text: string) => `${text}\u0085`],
] as const;

describe.each(tricks)('RFC 9113 §10.3 %s', (_rule, trick) => {
  test.each([
    [':method', 'GET', 'invalid_method'],
    [':scheme', 'https', 'invalid_scheme'],
    [':authority', 'example.com', 'invalid_authority'],
    [':path', '/', 'invalid_path'],
  ])('in %s', (name, value, code) => {
    expect(refusal(pseudo({ [name]: trick(value) }))).toBe(code);
  });

  test('in :protocol', () => {
    const fields = pseudo({ ':method': 'CONNECT', ':protocol': trick('websocket') });
    expect(refusal(fields)).toBe('invalid_protocol');
  });

  test('in host', () => {
    const host = trick('example.com');
    expect(refusal([...pseudo({ ':authority': undefined }), 'host', host])).toBe('invalid_authority');
    expect(refusal([...get, 'host', host])).toBe('invalid_authority');
  });
});

describe('§8.3.1 the values of pseudo fields', () => {
  test.each([
    ['a method of any token', { ':method': "M-SEARCH!#$%&'*+.^_`|~" }],
    ['a scheme besides http', { ':scheme': 'coap+tcp' }],
    ['the scheme in upper case', { ':scheme': 'HTTPS' }],
    ['a path of every visible character but the fragment', { ':path': '/"<>[]\\^`{|}%zz' }],
    ['OPTIONS for the whole server', { ':method': 'OPTIONS', ':path': '*' }],
    ['an authority with port', { ':authority': 'example.com:8443' }],
  ])('accepted: %s', (_rule, changes) => {
    expect(refusal(pseudo(changes))).toBe('accepted');
  });

  test.each([
    ['a method with a separator', { ':method': 'GET/' }, 'invalid_method'],
    ['a scheme that goes on', { ':scheme': 'https://evil.example/' }, 'invalid_scheme'],
    ['a scheme that begins with a digit', { ':scheme': '1http' }, 'invalid_scheme'],
    ['an absolute URI as path', { ':path': 'https://example.com/' }, 'invalid_path'],
    ['a path without its slash', { ':path': 'a' }, 'invalid_path'],
    ['a fragment', { ':path': '/a#b' }, 'invalid_path'],
    ['an asterisk for GET', { ':path': '*' }, 'invalid_path'],
    ['an asterisk and more', { ':method': 'OPTIONS', ':path': '*a' }, 'invalid_path'],
    ['user information', { ':authority': 'user@example.com' }, 'invalid_authority'],
  ])('refused: %s', (_rule, changes, code) => {
    expect(refusal(pseudo(changes))).toBe(code);
  });
});

describe('§8.3.1 :authority and host', () => {
  const alone = pseudo({ ':authority': undefined });
  test.each([
    ['host alone', [...alone, 'host', 'example.com']],
    ['both, equal', [...get, 'host', 'example.com']],
    ['both, the default port in one', [...get, 'host', 'example.com:443']],
    ['both, in another case', [...get, 'host', 'EXAMPLE.com']],
  ])('accepted: %s', (_rule, fields) => {
    expect(parseH2Request(fields).host).toBe('example.com');
  });

  test.each([
    ['neither', alone, 'missing_authority'],
    ['host empty', [...alone, 'host', ''], 'invalid_authority'],
    ['host empty beside :authority', [...get, 'host', ''], 'invalid_authority'],
    ['two hosts', [...get, 'host', 'example.com', 'host', 'example.com'], 'repeated_host'],
    ['another host', [...get, 'host', 'other.example'], 'host_mismatch'],
    ['another port', [...get, 'host', 'example.com:80'], 'host_mismatch'],
    ['host that is none', [...get, 'host', 'a b'], 'invalid_authority'],
  ])('refused: %s', (_rule, fields, code) => {
    expect(refusal(fields)).toBe(code);
  });

  test('the default port is that of the scheme', () => {
    const http = pseudo({ ':scheme': 'http' });
    expect(refusal([...http, 'host', 'example.com:80'])).toBe('accepted');
    expect(refusal([...http, 'host', 'example.com:443'])).toBe('host_mismatch');
  });
});

describe('CONNECT', () => {
  test('RFC 9113 §8.5 has a method and an authority with port', () => {
    const head = parseH2Request([':method', 'CONNECT', ':authority', 'example.com:443']);
    expect(head).toMatchObject({ scheme: '', path: '', target: 'example.com:443', host: 'example.com:443' });
    expect(head.headers.list).toEqual(['host', 'example.com:443']);
  });

  test.each([
    ['a scheme', [':method', 'CONNECT', ':authority', 'a:1', ':scheme', 'https'], 'unexpected_pseudo_field'],
    ['a path', [':method', 'CONNECT', ':authority', 'a:1', ':path', '/'], 'unexpected_pseudo_field'],
    ['no authority', [':method', 'CONNECT', 'host', 'a:1'], 'missing_pseudo_field'],
    ['no port', [':method', 'CONNECT', ':authority', 'a'], 'invalid_authority'],
  ])('RFC 9113 §8.5 refused: %s', (_rule, fields, code) => {
    expect(refusal(fields)).toBe(code);
  });

  test('RFC 8441 §4 with :protocol it has a scheme and a path too', () => {
    const fields = pseudo({ ':method': 'CONNECT', ':protocol': 'websocket' });
    expect(parseH2Request(fields)).toMatchObject({ protocol: 'websocket', path: '/', scheme: 'https' });
  });

  test.each([
    ['another method', pseudo({ ':protocol': 'websocket' }), 'unexpected_pseudo_field'],
    [
      'no path',
      pseudo({ ':method': 'CONNECT', ':protocol': 'x', ':path': undefined }),
      'missing_pseudo_field',
    ],
    [
      'no scheme',
      pseudo({ ':method': 'CONNECT', ':protocol': 'x', ':scheme': undefined }),
      'missing_pseudo_field',
    ],
    ['a protocol that is no token', pseudo({ ':method': 'CONNECT', ':protocol': 'a/b' }), 'invalid_protocol'],
  ])('RFC 8441 §4 refused: %s', (_rule, fields, code) => {
    expect(refusal(fields)).toBe(code);
  });
});

describe('RFC 9113 §8.2.2 connection-specific fields', () => {
  test.each(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'])(
    '%s',
    (name) => {
      expect(refusal([...get, name, 'x'])).toBe('connection_specific_field');
    },
  );

  test('te says trailers, or nothing', () => {
    expect(refusal([...get, 'te', 'trailers'])).toBe('accepted');
    expect(refusal([...get, 'te', 'gzip'])).toBe('invalid_te');
  });
});

test.each([
  ['no number', ['content-length', 'x'], 'invalid_content_length'],
  ['a sign', ['content-length', '+5'], 'invalid_content_length'],
  ['two lengths', ['content-length', '5', 'content-length', '6'], 'conflicting_content_length'],
  ['two lengths in a list', ['content-length', '5, 6'], 'conflicting_content_length'],
])('RFC 9113 §8.1.1 content-length: %s', (_rule, fields, code) => {
  expect(refusal([...get, ...fields])).toBe(code);
});
