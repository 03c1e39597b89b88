// SOCKS5 as a server reads it: each message cut anywhere, and what is refused with which answer.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import {
  methodAnswer,
  parseCredentials,
  parseGreeting,
  parseRequest,
  passwordAnswer,
  requestAnswer,
  SocksError,
  socksReply,
} from '../../src/arrival/socks5-messages.ts';

const bytes = (...values: (number | string)[]): Buffer =>
  Buffer.concat(
    values.map((value) => (typeof value === 'number' ? Buffer.from([value]) : Buffer.from(value))),
  );

const messages = [
  ['a greeting', parseGreeting, bytes(5, 2, 0, 2), [0, 2]],
  ['a greeting that offers nothing', parseGreeting, bytes(5, 0), []],
  ['credentials', parseCredentials, bytes(1, 3, 'ada', 4, 'p:ss'), { username: 'ada', password: 'p:ss' }],
  ['empty credentials', parseCredentials, bytes(1, 0, 0), { username: '', password: '' }],
  [
    'credentials beyond ASCII',
    parseCredentials,
    bytes(1, 5, 'büro', 3, 'pß'),
    { username: 'büro', password: 'pß' },
  ],
  [
    'an IPv4 address',
    parseRequest,
    bytes(5, 1, 0, 1, 192, 0, 2, 1, 1, 187),
    { host: '192.0.2.1', port: 443 },
  ],
  [
    'an IPv6 address',
    parseRequest,
    bytes(5, 1, 0, 4, ...Buffer.from('20010db8000000000000000000000001', 'hex'), 0, 80),
    { host: '2001:db8::1', port: 80 },
  ],
  [
    'a name',
    parseRequest,
    bytes(5, 1, 0, 3, 11, 'Example.ORG', 31, 144),
    { host: 'example.org', port: 8_080 },
  ],
  [
    'an address as a name',
    parseRequest,
    bytes(5, 1, 0, 3, 9, '192.0.2.1', 0, 80),
    { host: '192.0.2.1', port: 80 },
  ],
] as const;

describe.each(messages)('%s', (_what, parse, whole, value) => {
  test('is read, and ends where the next one begins', () => {
    expect(parse(Buffer.concat([whole, bytes('more')]))).toEqual({ value, length: whole.length });
  });

  test('asks for more while it is not whole', () => {
    for (let length = 0; length < whole.length; length += 1)
      expect(parse(whole.subarray(0, length))).toBeUndefined();
  });
});

function answerTo(parse: (given: Buffer) => unknown, given: Buffer): Buffer | undefined {
  try {
    parse(given);
  } catch (error) {
    if (error instanceof SocksError) return error.answer;
    throw error;
  }
  throw new Error('it was not refused');
}

test.each([
  ['BIND', bytes(5, 2), socksReply.commandUnsupported],
  ['UDP ASSOCIATE', bytes(5, 3), socksReply.commandUnsupported],
  ['an address type that is none', bytes(5, 1, 0, 2), socksReply.addressTypeUnsupported],
  ['another version', bytes(4, 1), socksReply.generalFailure],
  ['a reserved byte that is set', bytes(5, 1, 1), socksReply.generalFailure],
  ['port 0', bytes(5, 1, 0, 1, 192, 0, 2, 1, 0, 0), socksReply.generalFailure],
  ['an empty name', bytes(5, 1, 0, 3, 0, 0, 80), socksReply.generalFailure],
  ['a name that is none', bytes(5, 1, 0, 3, 3, 'a b', 0, 80), socksReply.generalFailure],
  [
    'a name that resolvers read as an address',
    bytes(5, 1, 0, 3, 5, '127.1', 0, 80),
    socksReply.generalFailure,
  ],
])('a request for %s is refused as soon as it is known', (_what, given, reply) => {
  expect(answerTo(parseRequest, given)).toEqual(Buffer.from([5, reply, 0, 1, 0, 0, 0, 0, 0, 0]));
});

test('a client of SOCKS4 is refused in its own words, others without any', () => {
  expect(answerTo(parseGreeting, bytes(4, 1))).toEqual(Buffer.from([0, 91, 0, 0, 0, 0, 0, 0]));
  expect(answerTo(parseGreeting, bytes('GET /'))).toBeUndefined();
  expect(answerTo(parseCredentials, bytes(5, 1))).toEqual(Buffer.from([1, 1]));
});

test('answers', () => {
  expect(methodAnswer(2)).toEqual(Buffer.from([5, 2]));
  expect([passwordAnswer(true), passwordAnswer(false)]).toEqual([Buffer.from([1, 0]), Buffer.from([1, 1])]);
  expect(requestAnswer(socksReply.succeeded)).toEqual(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
});

/** How many bytes were read: none while more is asked for, or where they are refused. */
function lengthOf(parse: (given: Buffer) => { readonly length: number } | undefined, given: Buffer): number {
  try {
    return parse(given)?.length ?? 0;
  } catch (error) {
    if (error instanceof SocksError) return 0;
    throw error;
  }
}

test.each([parseGreeting, parseCredentials, parseRequest])(
  'garbage is refused or waits for more: %o',
  (parse) => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (given) => {
        expect(lengthOf(parse, Buffer.from(given))).toBeLessThanOrEqual(given.length);
      }),
    );
  },
);
