// Who may use the proxy by HTTP: every request that names a target of its own is asked, whatever its version, and what it answers
// goes nowhere.
import { once } from 'node:events';
import { connect } from 'node:http2';

import type { InterceptHandler, MitmConfigInput } from 'mitm-core';
import { describe, expect, test } from 'vitest';

import { startHttpOrigin, startTcpEcho } from '../../../../testing/lab/origins.ts';
import { openClient, type ProxyLab, reasonsOf, startProxy } from '../proxy-lab.ts';

const config: Partial<MitmConfigInput> = {
  http2Bridge: true,
  interception: { destinations: ['*:*'], unknownProtocol: 'tunnel' },
  proxyAuthentication: {
    realm: 'the lab',
    users: [
      { username: 'ada', password: 'one' },
      { username: 'bob', password: 'two' },
    ],
  },
};
const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;
const line = (text: string): string => `Proxy-Authorization: ${basic(text)}\r\n`;
const challenge = 'Proxy-Authenticate: Basic realm="the lab", charset="UTF-8"\r\n';

/** Users of all targets, as the events tell. */
function usersOf({ recorder }: ProxyLab): unknown[] {
  return recorder.events().flatMap((event) => (event.kind === 'connect_received' ? [event.user] : []));
}

describe('CONNECT', () => {
  test.each([
    ['no credentials', '', 'no credentials'],
    ['a wrong password', line('ada:two'), 'wrong credentials'],
    ['an unknown user', line('eve:one'), 'wrong credentials'],
    ['credentials twice', line('ada:one') + line('ada:one'), 'several credentials'],
    ['credentials for an origin', line('ada:one').replace('Proxy-', ''), 'no credentials'],
    ['another scheme', 'Proxy-Authorization: Digest username="ada"\r\n', 'wrong credentials'],
  ])('with %s gets 407, and nothing is dialled', async (_what, fields, detail) => {
    await using origin = await startTcpEcho();
    await using proxy = await startProxy({ config });
    await using client = await openClient(proxy.port);
    client.send(`CONNECT ${origin.authority} HTTP/1.1\r\nHost: o\r\n${fields}\r\n`);
    const answer = await client.rest();
    expect(answer).toMatch(/^HTTP\/1\.1 407 Proxy Authentication Required\r\n/);
    expect(answer).toContain(challenge);
    client.stream.end();
    const events = await proxy.settled();
    expect(reasonsOf(events)).toEqual(['authentication_failed']);
    const closed = events.find((event) => event.kind === 'stream_closed');
    expect(closed).toMatchObject({
      reasonDetail: detail,
      context: { serverHost: 'localhost', serverPort: origin.port },
    });
    expect([origin.connectionCount, usersOf(proxy)]).toEqual([0, []]);
  });

  test('of a user is served, and known by the name', async () => {
    await using origin = await startTcpEcho();
    await using proxy = await startProxy({ config });
    await using client = await openClient(proxy.port);
    client.send(`CONNECT ${origin.authority} HTTP/1.1\r\n${line('bob:two')}\r\n\0hello`);
    await client.receive('\0hello');
    client.stream.end();
    await proxy.settled();
    expect(usersOf(proxy)).toEqual(['bob']);
    expect(
      JSON.stringify(proxy.recorder.events(), (_key, value: unknown) =>
        typeof value === 'bigint' ? Number(value) : value,
      ),
    ).not.toContain(Buffer.from('bob:two').toString('base64'));
  });
});

describe('plain requests', () => {
  test('each one is asked, and the connection stays', async () => {
    const shown: unknown[] = [];
    const handler: InterceptHandler = {
      onRequest: (request) => {
        shown.push([request.user, request.headers.get('proxy-authorization')]);
        return { action: 'allow' };
      },
    };
    await using origin = await startHttpOrigin();
    await using proxy = await startProxy({ config, handler });
    await using client = await openClient(proxy.port);
    const get = (fields: string): string => `GET ${origin.url}/ HTTP/1.1\r\nHost: o\r\n${fields}\r\n`;
    client.send(get(''));
    expect(await client.receive('password\n')).toContain(challenge);
    for (const user of ['ada:one', 'bob:two', 'bob:two']) {
      client.send(get(line(user)));
      expect(await client.receive('ok')).toMatch(/^HTTP\/1\.1 200 /);
    }
    client.send(get(line('bob:one')));
    expect(await client.receive('password\n')).toMatch(/^HTTP\/1\.1 407 /);
    client.stream.end();
    await proxy.settled();
    expect(shown).toEqual([
      ['ada', undefined],
      ['bob', undefined],
      ['bob', undefined],
    ]);
    expect(origin.requests.flatMap(({ rawHeaders }) => rawHeaders)).not.toContain('Proxy-Authorization');
    expect(usersOf(proxy)).toEqual(['ada', 'bob', 'bob']);
  });

  test('streams of HTTP/2 are asked like them', async () => {
    await using origin = await startHttpOrigin();
    await using proxy = await startProxy({ config });
    const session = connect(`http://127.0.0.1:${proxy.port}`);
    const statuses: unknown[] = [];
    for (const fields of [{}, { 'proxy-authorization': basic('ada:one') }]) {
      const stream = session.request({ ':authority': origin.authority, ':path': '/', ...fields });
      const [head]: { readonly ':status'?: number; readonly 'proxy-authenticate'?: string }[] = await once(
        stream,
        'response',
      );
      statuses.push(head?.[':status'], head?.['proxy-authenticate'] !== undefined);
      stream.resume();
      await once(stream, 'close');
    }
    session.close();
    await once(session, 'close');
    await proxy.settled();
    expect(statuses).toEqual([407, true, 200, false]);
    expect(
      origin.requests.flatMap(({ rawHeaders }) => rawHeaders.map((text) => text.toLowerCase())),
    ).not.toContain('proxy-authorization');
  });
});

test('a policy of the caller’s own is told the user', async () => {
  const { createRuntime } = await import('../runtime-fixture.ts');
  const asked: unknown[] = [];
  const fixture = await createRuntime({
    config,
    policy: {
      decide: ({ user }) => {
        asked.push(user);
        return { action: 'block', reason: 'not for them' };
      },
    },
  });
  const { ProxyServer } = await import('../../src/proxy-server.ts');
  const server = new ProxyServer({ engine: fixture.engine, certificates: fixture.runtime.certificates });
  const { port } = await server.listen();
  {
    await using client = await openClient(port);
    client.send(`CONNECT o.example:443 HTTP/1.1\r\n${line('ada:one')}\r\n`);
    expect(await client.rest()).toMatch(/^HTTP\/1\.1 403 /);
  }
  await server.close(1_000);
  expect(asked).toEqual(['ada']);
});

test('new users count for connections that come after the reload', async () => {
  await using origin = await startTcpEcho();
  await using proxy = await startProxy({ config });
  const status = async (user: string): Promise<string> => {
    await using client = await openClient(proxy.port);
    client.send(`CONNECT ${origin.authority} HTTP/1.1\r\n${line(user)}\r\n`);
    return (await client.receive('\r\n')).slice(9, 12);
  };
  expect([await status('ada:one'), await status('eve:six')]).toEqual(['200', '407']);
  const users = [{ username: 'eve', password: 'six' }];
  proxy.engine.reload({ ...proxy.engine.config, proxyAuthentication: { realm: 'the lab', users } });
  expect([await status('ada:one'), await status('eve:six')]).toEqual(['407', '200']);
});
