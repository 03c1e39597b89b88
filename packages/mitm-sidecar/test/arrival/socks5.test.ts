// The way in by SOCKS5: what is answered at each step, and how each conversation that goes wrong ends.
import type { MitmConfigInput } from 'mitm-core';
import { Failure } from 'mitm-core';
import { describe, expect, test } from 'vitest';

import { refusedPort, startTcpEcho } from '../../../../testing/lab/origins.ts';
import { replyTo } from '../../src/arrival/socks5.ts';
import { detailsOf, openClient, type ProxyLab, reasonsOf, startProxy } from '../proxy-lab.ts';

const users: Partial<MitmConfigInput> = {
  proxyAuthentication: { users: [{ username: 'ada', password: 'one' }] },
};
const text = (value: string): string => String.fromCharCode(value.length) + value;
const credentials = (name: string, password: string): string => `\x01${text(name)}${text(password)}`;
const request = (host: string, port: number): string =>
  `\x05\x01\0\x03${text(host)}${String.fromCharCode(port >> 8, port & 255)}`;
const reply = (code: number): string => `\x05${String.fromCharCode(code)}\0\x01\0\0\0\0\0\0`;
const tunnel: Partial<MitmConfigInput> = {
  interception: { destinations: ['other.example:1'], blockedHosts: ['blocked.example'] },
};

async function started(config: Partial<MitmConfigInput>): Promise<ProxyLab> {
  return await startProxy({ config: { ...tunnel, ...config } });
}

describe('a connection', () => {
  test.each([
    ['in one piece', false],
    ['a byte at a time', true],
  ])('without a user, %s', async (_how, isSlow) => {
    await using origin = await startTcpEcho();
    await using proxy = await started({});
    await using client = await openClient(proxy.port);
    const all = `\x05\x01\0${request('localhost', origin.port)}hello`;
    for (const piece of isSlow ? all : [all]) {
      client.send(piece);
      if (isSlow) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await client.receive('hello')).toBe(`\x05\0${reply(0)}hello`);
    client.stream.end();
    const events = await proxy.settled();
    expect(reasonsOf(events)).toEqual(['relay_eof']);
    expect(events.map(({ kind }) => kind)).toEqual(['connect_received', 'connect_decision', 'stream_closed']);
    expect(events.at(-1)?.context).toMatchObject({ serverHost: 'localhost', serverPort: origin.port });
  });

  test('of a user', async () => {
    await using origin = await startTcpEcho();
    await using proxy = await started(users);
    await using client = await openClient(proxy.port);
    client.send('\x05\x02\0\x02');
    expect(await client.receive('\x02')).toBe('\x05\x02');
    client.send(credentials('ada', 'one'));
    expect(await client.receive('\0')).toBe('\x01\0');
    client.send(`${request('127.0.0.1', origin.port)}hello`);
    expect(await client.receive('hello')).toBe(`${reply(0)}hello`);
    client.stream.end();
    const [received] = await proxy.settled();
    expect(received).toMatchObject({ kind: 'connect_received', user: 'ada' });
  });

  test('of a client that offers nothing but a password where none is asked for', async () => {
    await using origin = await startTcpEcho();
    await using proxy = await started({});
    await using client = await openClient(proxy.port);
    client.send(`\x05\x01\x02${credentials('any', 'thing')}${request('localhost', origin.port)}hello`);
    expect(await client.receive('hello')).toBe(`\x05\x02\x01\0${reply(0)}hello`);
    client.stream.end();
    const [received] = await proxy.settled();
    expect(received).not.toHaveProperty('user');
  });
});

const badName = `\x05\x01\0\x03${text('a b')}\0P`;
describe('a conversation that goes wrong is answered as far as SOCKS has an answer', () => {
  test.each([
    ['SOCKS4', {}, '\x04\x01\0P', '\0\x5b\0\0\0\0\0\0', 'socks5_greeting_failed', 'socks5: version 4'],
    [
      'no method in common',
      {},
      '\x05\x01\x80',
      '\x05\xff',
      'socks5_greeting_failed',
      'none of the methods 128',
    ],
    ['no method at all', {}, '\x05\0', '\x05\xff', 'socks5_greeting_failed', 'none of the methods'],
    [
      'a user is asked for, none is offered',
      users,
      '\x05\x01\0',
      '\x05\xff',
      'authentication_failed',
      'no creden',
    ],
    [
      'a wrong password',
      users,
      `\x05\x01\x02${credentials('ada', 'two')}`,
      '\x05\x02\x01\x01',
      'authentication_failed',
      'wrong credentials',
    ],
    [
      'garbage for a password',
      users,
      '\x05\x01\x02GET',
      '\x05\x02\x01\x01',
      'socks5_greeting_failed',
      'version 71',
    ],
    ['BIND', {}, '\x05\x01\0\x05\x02\0', `\x05\0${reply(7)}`, 'socks5_greeting_failed', 'command 2'],
    ['UDP', {}, '\x05\x01\0\x05\x03\0', `\x05\0${reply(7)}`, 'socks5_greeting_failed', 'command 3'],
    [
      'an address of no type',
      {},
      '\x05\x01\0\x05\x01\0\x09',
      `\x05\0${reply(8)}`,
      'socks5_greeting_failed',
      'type 9',
    ],
    [
      'a name that is none',
      {},
      `\x05\x01\0${badName}`,
      `\x05\0${reply(1)}`,
      'socks5_greeting_failed',
      '"a b"',
    ],
    [
      'a target that policy refuses',
      {},
      `\x05\x01\0${request('blocked.example', 443)}`,
      `\x05\0${reply(2)}`,
      'blocked',
      'blocked_host',
    ],
  ])('%s', async (_what, config, sent, answer, reason, detail) => {
    await using proxy = await started(config);
    await using client = await openClient(proxy.port);
    client.send(sent);
    expect(await client.rest()).toBe(answer);
    client.stream.end();
    const events = await proxy.settled();
    expect(reasonsOf(events)).toEqual([reason]);
    expect(detailsOf(events)[0]).toContain(detail);
  });

  test('a target that nobody listens at', async () => {
    await using proxy = await started({});
    await using client = await openClient(proxy.port);
    client.send(`\x05\x01\0${request('127.0.0.1', await refusedPort())}`);
    expect(await client.rest()).toBe(`\x05\0${reply(5)}`);
    client.stream.end();
    expect(reasonsOf(await proxy.settled())).toEqual(['upstream_connect_failed']);
  });

  test('the proxy itself', async () => {
    await using proxy = await started({});
    await using client = await openClient(proxy.port);
    client.send(`\x05\x01\0${request('127.0.0.1', proxy.port)}`);
    expect(await client.rest()).toBe(`\x05\0${reply(1)}`);
    client.stream.end();
    expect(reasonsOf(await proxy.settled())).toEqual(['route_planner_failed']);
  });

  test.each([
    ['in its greeting', '\x05'],
    ['in its password', '\x05\x01\x02\x01'],
    ['in its request', '\x05\x01\0\x05\x01'],
  ])('a client that leaves %s', async (_where, sent) => {
    await using proxy = await started({});
    await using client = await openClient(proxy.port);
    client.stream.end(sent, 'latin1');
    await client.rest();
    const events = await proxy.settled();
    expect(reasonsOf(events)).toEqual(['socks5_greeting_failed']);
    expect(detailsOf(events)).toEqual(['socks5: the connection ended within the greeting']);
  });

  test('a client that stalls is let go when the time of the whole conversation is over', async () => {
    await using proxy = await started({ timeouts: { handshakeMs: 100 } });
    await using client = await openClient(proxy.port);
    client.send('\x05\x01\0\x05');
    expect(await client.rest()).toBe('\x05\0');
    client.stream.end();
    const events = await proxy.settled();
    expect(reasonsOf(events)).toEqual(['stream_stage_timeout']);
    expect(detailsOf(events)).toEqual(['stream_stage_timeout:socks5_greeting:100ms']);
  });
});

test.each([
  ['ECONNREFUSED', 5],
  ['ENETUNREACH', 3],
  ['EHOSTUNREACH', 4],
  ['ENOTFOUND', 4],
  ['ETIMEDOUT', 4],
])('a dial that fails with %s is answered %i', (code, answer) => {
  const cause = Object.assign(new Error(code), { code });
  expect(replyTo(new Failure('upstream_connect_failed', { side: 'upstream', cause }))).toBe(answer);
});

test('a listener for SOCKS alone takes nothing else', async () => {
  await using proxy = await startProxy({
    config: { bind: 'none', listeners: [{ bind: '127.0.0.1:0', kind: 'socks5' }] },
  });
  await using client = await openClient(proxy.port);
  client.send('GET http://o.example/ HTTP/1.1\r\n\r\n');
  expect(await client.rest()).toBe('');
  client.stream.end();
  expect(reasonsOf(await proxy.settled())).toEqual(['socks5_greeting_failed']);
});
