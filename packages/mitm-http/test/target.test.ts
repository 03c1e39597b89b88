import { expect, test } from 'vitest';

import { parseTarget } from '../src/target.ts';
import { codeOf, requestOf } from './wire-text.ts';

const host = 'example.com';

test.each([
  ['SG-08 origin form', 'GET /a?b=c', { form: 'origin', path: '/a?b=c' }],
  ['a path of two slashes', 'GET //a', { form: 'origin', path: '//a' }],
  ['asterisk form', 'OPTIONS *', { form: 'asterisk', path: '*' }],
  [
    'authority form',
    'CONNECT Example.com:443',
    { form: 'authority', authority: { host, port: 443 }, path: '' },
  ],
  [
    'SG-08 absolute form with a query',
    'GET http://Example.com/a?b=c',
    { form: 'absolute', scheme: 'http', authority: { host, port: 80 }, path: '/a?b=c' },
  ],
  [
    'a scheme in any case',
    'GET HTTPS://example.com/',
    { form: 'absolute', scheme: 'https', authority: { host, port: 443 }, path: '/' },
  ],
  ['a port', 'GET http://example.com:81/', { authority: { host, port: 81 } }],
  ['IPv6 loses its brackets', 'GET http://[::1]:81/', { authority: { host: '::1', port: 81 } }],
  ['no path', 'GET http://example.com', { path: '/' }],
  [
    'a query without a path',
    'GET http://example.com?a=/b',
    { authority: { host, port: 80 }, path: '/?a=/b' },
  ],
  [
    'OPTIONS without a path asks for the server',
    'OPTIONS http://example.com',
    { form: 'absolute', path: '*' },
  ],
  ['OPTIONS with a query has a path', 'OPTIONS http://example.com?a', { path: '/?a' }],
  ['a URI in a query', 'GET /?u=http://a', { form: 'origin', path: '/?u=http://a' }],
])('target: %s', (_rule, line, expected) => {
  expect(parseTarget(requestOf(`${line} HTTP/1.1`))).toMatchObject(expected);
});

test.each([
  ['user information', 'GET http://user@example.com/', 'invalid_target'],
  ['user and password', 'GET http://a:b@example.com/', 'invalid_target'],
  ['a fragment', 'GET http://example.com/#a', 'invalid_target'],
  ['a fragment in origin form', 'GET /a#b', 'invalid_target'],
  ['no host', 'GET http:///a', 'invalid_target'],
  ['an escaped host', 'GET http://ex%61mple.com/', 'invalid_target'],
  ['port 0', 'GET http://example.com:0/', 'invalid_target'],
  ['a backslash for a slash', 'GET http://example.com\\@a/', 'invalid_target'],
  ['a name alone', 'GET example.com', 'invalid_target'],
  ['a scheme without slashes', 'GET http:example.com', 'invalid_target'],
  ['authority form for another method', 'GET example.com:443', 'invalid_target'],
  ['asterisk form for another method', 'GET *', 'invalid_target'],
  ['CONNECT without a port', 'CONNECT example.com', 'invalid_target'],
  ['CONNECT with a path', 'CONNECT /a', 'invalid_target'],
  ['another scheme', 'GET ftp://example.com/', 'unsupported_scheme'],
  ['the scheme of WebSocket', 'GET ws://example.com/', 'unsupported_scheme'],
])('no target: %s', (_rule, line, code) => {
  expect(codeOf(() => parseTarget(requestOf(`${line} HTTP/1.1`)))).toBe(code);
});
