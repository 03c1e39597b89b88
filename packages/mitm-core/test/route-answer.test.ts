// What a handler may answer for a route, and what is made of it.
import { describe, expect, test } from 'vitest';

import { readRouteAnswer, RouteAnswerError } from '../src/route-answer.ts';

const hasWay = (name: string): boolean => name === 'direct' || name === 'office';

describe('an answer that can be used', () => {
  test('nothing leaves it to the configuration', () => {
    expect(readRouteAnswer(undefined, hasWay)).toBeUndefined();
  });

  test.each(['direct', 'office'])('the name %s', (name) => {
    expect(readRouteAnswer(name, hasWay)).toBe(name);
  });

  test('a proxy of its own, with its host made canonical', () => {
    const answer = {
      type: 'http',
      host: '[2001:DB8::1]',
      port: 3128,
      tls: true,
      username: 'u',
      password: 'p',
    };
    expect(readRouteAnswer(answer, hasWay)).toMatchObject({
      type: 'http',
      host: '2001:db8::1',
      port: 3128,
      isTls: true,
      credentials: { username: 'u', password: 'p' },
      source: 'resolveRoute',
    });
  });
});

describe('an answer that can not', () => {
  test.each([
    ['an unknown name', 'home', /"home" is neither direct nor the name of an upstream proxy/],
    ['null', null, /is no proxy: must be an object/],
    ['a number', 3128, /is no proxy/],
    ['an unknown type', { type: 'ftp', host: 'p', port: 1 }, /type: must be one of http, socks5/],
    ['no port', { type: 'http', host: 'p' }, /port: must be a port/],
    ['a URL as host', { type: 'http', host: 'http://p', port: 1 }, /host: does not name a host/],
    ['TLS for SOCKS', { type: 'socks5', host: 'p', port: 1, tls: true }, /tls: must not be true/],
    [
      'half of the credentials',
      { type: 'socks5', host: 'p', port: 1, username: 'u' },
      /password: must be given/,
    ],
    ['something unknown', { type: 'http', host: 'p', port: 1, pasword: 'hidden' }, /pasword: is not known/],
  ])('%s', (_what, answer, message) => {
    const read = (): unknown => readRouteAnswer(answer, hasWay);
    expect(read).toThrow(RouteAnswerError);
    expect(read).toThrow(message);
    expect(read).not.toThrow(/hidden/);
  });
});
