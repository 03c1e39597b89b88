// What a log withholds of texts that came from peers. Nothing here is anybody's credential.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { redactedText, type RedactionLevel, redactorOf } from '../src/redaction.ts';

const R = redactedText;
const webToken = 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJub2JvZHkifQ.c2lnbmF0dXJl';
const random = 'q7Zk2Vb9Xw4Lm1Td8Rs5Jf3';

function redact(field: string, level: RedactionLevel, text: string): string {
  return redactorOf(field, level)?.(text) ?? text;
}

describe('a target', () => {
  const rows: readonly (readonly [string, string, string, string])[] = [
    // what, as received, withholding values, withholding secrets
    ['of a path alone', '/a/b.html', '/a/b.html', '/a/b.html'],
    ['asterisk', '*', '*', '*'],
    ['values of a query', '/s?q=shoes&page=2', `/s?q=${R}&page=${R}`, '/s?q=shoes&page=2'],
    ['a query without names', '/s?shoes', `/s?${R}`, '/s?shoes'],
    ['empty values', '/s?q=&r', `/s?q=&${R}`, '/s?q=&r'],
    ['a value with its own equals sign', '/s?q=a=b', `/s?q=${R}`, '/s?q=a=b'],
    ['a second question mark', '/s?q=a?b', `/s?q=${R}`, '/s?q=a?b'],
    ['user and password', 'http://u:p@h.test/x', `http://${R}@h.test/x`, `http://${R}@h.test/x`],
    ['a user in an authority', 'u:p@h.test:443', `${R}@h.test:443`, `${R}@h.test:443`],
    ['an @ in a path', '/@scope/pkg', '/@scope/pkg', '/@scope/pkg'],
    ['an @ in a query', '/x?to=a@b.test', `/x?to=${R}`, '/x?to=a@b.test'],
    [
      'a parameter of a path',
      '/x;jsessionid=1;v=2/y',
      `/x;jsessionid=${R};v=2/y`,
      `/x;jsessionid=${R};v=2/y`,
    ],
    ['a web token in a path', `/t/${webToken}/x`, `/t/${R}/x`, `/t/${R}/x`],
    ['a random run in a path', `/hook/${random}`, `/hook/${R}`, `/hook/${R}`],
    [
      'a UUID in a path',
      '/u/0f8fad5b-d9cb-469f-a165-70867728950e',
      '/u/0f8fad5b-d9cb-469f-a165-70867728950e',
      '/u/0f8fad5b-d9cb-469f-a165-70867728950e',
    ],
    [
      'long words with a number',
      '/pkg.v1.Service/GetUserProfileDetailsV2',
      '/pkg.v1.Service/GetUserProfileDetailsV2',
      '/pkg.v1.Service/GetUserProfileDetailsV2',
    ],
    [
      'a slug',
      '/how-to-install-node-24-on-debian-13',
      '/how-to-install-node-24-on-debian-13',
      '/how-to-install-node-24-on-debian-13',
    ],
    ['a random value', `/x?v=${random}`, `/x?v=${R}`, `/x?v=${R}`],
  ];
  test.each(rows)('%s', (_what, text, values, secrets) => {
    expect(redact('target', 'values', text)).toBe(values);
    expect(redact('target', 'secrets', text)).toBe(secrets);
    expect(redact('target', 'nothing', text)).toBe(text);
  });

  test.each([
    'token',
    'access_token',
    'accessToken',
    'X-Api-Key',
    'client_secret',
    'clientSecret',
    'PASSWORD',
    'sig',
    'code',
  ])('a value under the name %s goes at every level but `nothing`', (name) => {
    expect(redact('target', 'secrets', `/x?${name}=abc&n=1`)).toBe(`/x?${name}=${R}&n=1`);
  });

  test.each(['page', 'q', 'tokenize', 'keyboard', 'codec', 'passenger'])(
    'a value under the name %s stays',
    (name) => {
      expect(redact('target', 'secrets', `/x?${name}=abc`)).toBe(`/x?${name}=abc`);
    },
  );

  test('no value of a query is ever written, whatever it is', () => {
    const value = fc.stringMatching(/^[a-z]{5,12}$/).map((text) => `zz${text}zz`);
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.stringMatching(/^[a-y]{1,8}$/), value), { minLength: 1 }), (items) => {
        const query = items.map(([name, text]) => `${name}=${text}`).join('&');
        const written = redact('target', 'values', `/p?${query}`);
        expect(items.some(([, text]) => written.includes(text))).toBe(false);
      }),
    );
  });

  test('withholding twice is withholding once', () => {
    fc.assert(
      fc.property(fc.webUrl({ withQueryParameters: true }), (url) => {
        const once = redact('target', 'values', url);
        expect(redact('target', 'values', once)).toBe(once);
      }),
    );
  });
});

describe('a sentence', () => {
  test.each([
    ['nothing to withhold', 'ECONNREFUSED: connect failed', 'ECONNREFUSED: connect failed'],
    ['an address with a user', 'cannot reach http://u:p@h.test/', `cannot reach http://${R}@h.test/`],
    ['an authorization', 'sent Bearer abc.def-123 to it', `sent Bearer ${R} to it`],
    ['a field with one', 'Authorization: Basic dTpwYXNz', `Authorization: Basic ${R}`],
    ['a web token', `got ${webToken} instead`, `got ${R} instead`],
    ['an assignment', 'password=hunter2 is wrong', `password=${R} is wrong`],
    ['JSON', '{"api_key": "k1", "n": 1}', `{"api_key": "${R}", "n": 1}`],
    ['an ordinary assignment', 'port=443 user=x', 'port=443 user=x'],
  ])('%s', (_what, text, written) => {
    for (const level of ['values', 'secrets'] as const)
      expect(redact('reasonDetail', level, text)).toBe(written);
    expect(redact('reasonDetail', 'nothing', text)).toBe(text);
  });
});

test.each(['target', 'grpcPath', 'authority'])('%s is read as a target', (field) => {
  expect(redact(field, 'values', 'a@b?c=d')).toBe(`${R}@b?c=${R}`);
});

test.each(['method', 'version', 'sni', 'ja4', 'reason', 'statusCode', 'direction'])(
  '%s is written as it is',
  (field) => {
    expect(redactorOf(field, 'values')).toBeUndefined();
  },
);
