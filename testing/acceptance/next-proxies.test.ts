// Going on through proxies of other makers: every kind of traffic arrives, whoever is asked for credentials and has none is told so,
// and the target stays the one that is judged, verified and reported.
import type { MitmConfigInput } from 'soth-mitm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import {
  connectTunnel,
  destroyed,
  dialLoopback,
  hasCommand,
  httpsThroughProxy,
  httpThroughProxy,
  rawExchange,
} from '../lab/clients.ts';
import { kindsOf } from '../lab/events.ts';
import { askHttp2, http2ThroughProxy, startHttp2Origin } from '../lab/http2-peers.ts';
import {
  type NextProxyServer,
  type ProxyLogin,
  startDante,
  startMicrosocks,
  startMitmdump,
  startSquid,
} from '../lab/next-proxies.ts';
import { startBannerOrigin, startHttpOrigin, startHttpsOrigin } from '../lab/origins.ts';
import { type LabProxy, startProxy } from '../lab/proxy.ts';
import { openWebSocket, startWebSocketOrigin } from '../lab/websocket-peers.ts';

let authority: LabAuthority;

beforeAll(async () => {
  authority = await createLabAuthority();
});

afterAll(async () => {
  await authority[Symbol.asyncDispose]();
});

const login: ProxyLogin = { username: 'ann', password: 'open+sesame=' };

const commands = ['squid', 'mitmdump', 'microsocks', 'danted'] as const;
const found = await Promise.all(commands.map((command) => hasCommand(command)));
const installed = new Set<string>(commands.filter((_, index) => found[index]));

/** Tests are left out where their program is not installed. */
function isMissing(command: (typeof commands)[number] | undefined): boolean {
  return command !== undefined && !installed.has(command);
}

interface Kind {
  readonly name: string;
  readonly command: (typeof commands)[number] | undefined;
  readonly type: 'http' | 'socks5';
  readonly start: () => Promise<NextProxyServer>;
  readonly login?: ProxyLogin;
  readonly tls?: boolean;
}

function closings({ events }: LabProxy) {
  return events.events().flatMap((event) => (event.kind === 'stream_closed' ? [event] : []));
}

/** Our own proxy, that tunnels everything. */
async function startOwn(): Promise<NextProxyServer> {
  const own = await startProxy({ config: { interception: { destinations: ['*:*'], ignoreHosts: ['*'] } } });
  return {
    port: own.port,
    log: () =>
      Promise.resolve(
        own.events
          .events()
          .filter(({ kind }) => kind === 'connect_received')
          .map(({ context }) => `CONNECT ${context.serverHost}:${context.serverPort}`)
          .join('\n'),
      ),
    [Symbol.asyncDispose]: () => own[Symbol.asyncDispose](),
  };
}

const kinds: readonly Kind[] = [
  { name: 'squid', command: 'squid', type: 'http', start: () => startSquid() },
  { name: 'squid with Basic', command: 'squid', type: 'http', start: () => startSquid({ login }), login },
  {
    name: 'squid over TLS with Basic',
    command: 'squid',
    type: 'http',
    start: () => startSquid({ login, tls: authority }),
    login,
    tls: true,
  },
  {
    name: 'mitmdump with Basic',
    command: 'mitmdump',
    type: 'http',
    start: () => startMitmdump(login),
    login,
  },
  { name: 'our own', command: undefined, type: 'http', start: startOwn },
  { name: 'microsocks', command: 'microsocks', type: 'socks5', start: () => startMicrosocks() },
  {
    name: 'microsocks with a password',
    command: 'microsocks',
    type: 'socks5',
    start: () => startMicrosocks(login),
    login,
  },
  { name: 'dante', command: 'danted', type: 'socks5', start: () => startDante() },
];

function wayThrough(
  kind: Pick<Kind, 'type' | 'tls'>,
  port: number,
  given?: ProxyLogin,
): Partial<MitmConfigInput> {
  // A certificate names its host, so that a proxy with TLS is called by its name.
  const host = kind.tls === true ? 'localhost' : '127.0.0.1';
  return kind.type === 'http'
    ? { routeMode: 'upstream_http', upstreamHttpProxy: { host, port, tls: kind.tls ?? false, ...given } }
    : { routeMode: 'upstream_socks5', upstreamSocks5Proxy: { host, port, ...given } };
}

async function through(
  kind: Kind,
  next: NextProxyServer,
  more: Partial<MitmConfigInput> = {},
): Promise<LabProxy> {
  return await startProxy({
    trusts: authority,
    config: { ...wayThrough(kind, next.port, kind.login), ...more },
  });
}

describe.each(kinds)('through $name', (kind) => {
  test.skipIf(isMissing(kind.command))(
    'HTTP/1 inside TLS, verified as the target, again and again',
    async () => {
      await using origin = await startHttpsOrigin({ authority });
      await using next = await kind.start();
      await using proxy = await through(kind, next);
      for (let count = 1; count <= 2; count += 1) {
        const answer = await httpsThroughProxy({
          ...proxy.forClients,
          url: `${origin.url}/a`,
        });
        expect([answer.status, answer.body.toString()]).toEqual([200, 'ok']);
      }
      // The second client found the first one's connection waiting.
      expect(origin.connectionCount).toBe(1);
      expect(origin.requests[0]?.rawHeaders.filter((name) => /^(?:via|proxy-)/i.test(name))).toEqual([]);
      expect(origin.handshakes[0]?.servername).toBe('localhost');
      await proxy.finish();
      const shown = proxy.events
        .events()
        .flatMap((event) =>
          event.kind === 'tls_handshake_succeeded' ? [[event.peer, event.context.serverHost]] : [],
        );
      expect(shown).toContainEqual(['upstream', 'localhost']);
    },
  );

  test.skipIf(isMissing(kind.command))('HTTP/2', async () => {
    await using origin = await startHttp2Origin({ authority });
    await using next = await kind.start();
    await using proxy = await through(kind, next);
    {
      await using client = await http2ThroughProxy({ ...proxy.forClients, authority: origin.authority });
      const answer = await askHttp2(client, { ':path': '/h2' });
      expect([answer.headers[':status'], answer.body.toString()]).toEqual([200, 'ok']);
    }
    expect(origin.sessions).toHaveLength(1);
    await proxy.finish();
  });

  test.skipIf(isMissing(kind.command)).each(['wss', 'ws'] as const)('WebSocket (%s)', async (scheme) => {
    await using origin = await startWebSocketOrigin(scheme === 'wss' ? { authority } : {});
    await using next = await kind.start();
    await using proxy = await through(kind, next);
    {
      await using client = await openWebSocket(proxy, origin.authority, { isPlain: scheme === 'ws' });
      const echoed = new Promise<string>((resolve) => {
        client.socket.once('message', (data: Buffer) => resolve(data.toString()));
      });
      client.socket.send('hello');
      expect(await echoed).toBe('hello');
    }
    await proxy.finish();
    expect(kindsOf(proxy.events.events()).filter((name) => name === 'websocket_opened')).toHaveLength(1);
  });

  test.skipIf(isMissing(kind.command))('a tunnel to a server that speaks first', async () => {
    await using origin = await startBannerOrigin('220 ready\r\n');
    await using next = await kind.start();
    await using proxy = await through(kind, next, {
      interception: { destinations: ['*:*'], ignoreHosts: ['localhost'] },
    });
    {
      await using tunnel = await connectTunnel(proxy.port, origin.authority);
      expect(tunnel.status).toBe(200);
      if (tunnel.rest.length > 0) tunnel.socket.unshift(tunnel.rest);
      expect((await rawExchange(tunnel.socket, 'EHLO', { until: 'EHLO' })).toString()).toBe(
        '220 ready\r\nEHLO',
      );
    }
    // mitmproxy holds on to a tunnel whose client has ended.
    if (kind.command !== 'mitmdump') await proxy.finish();
  });

  test.skipIf(isMissing(kind.command))(
    'plain HTTP, handed on in absolute form to an HTTP proxy, with a body',
    async () => {
      await using origin = await startHttpOrigin();
      await using next = await kind.start();
      await using proxy = await through(kind, next);
      const answer = await httpThroughProxy({
        proxyPort: proxy.port,
        url: `${origin.url}/plain?q=1`,
        method: 'POST',
        body: 'content',
      });
      expect([answer.status, answer.body.toString()]).toEqual([200, 'ok']);
      const [seen] = origin.requests;
      expect([seen?.method, seen?.url, seen?.body.toString()]).toEqual(['POST', '/plain?q=1', 'content']);
      expect(seen?.rawHeaders.map((name) => name.toLowerCase())).not.toContain('proxy-authorization');
      expect(seen?.rawHeaders.slice(seen.rawHeaders.findIndex((name) => /^host$/i.test(name)))[1]).toBe(
        origin.authority,
      );
      await proxy.finish();
    },
  );
});

test.skipIf(isMissing('squid'))('plain HTTP reaches squid whole, and without CONNECT', async () => {
  await using origin = await startHttpOrigin();
  await using next = await startSquid();
  await using proxy = await startProxy({ config: wayThrough({ type: 'http' }, next.port) });
  const url = `${origin.url}/plain?q=1`;
  await httpThroughProxy({ proxyPort: proxy.port, url });
  await proxy.finish();
  // It writes a request down when it is over.
  await expect.poll(() => next.log()).toContain(`GET ${url}`);
  expect(await next.log()).not.toContain('CONNECT');
});

interface Refusal {
  readonly name: string;
  readonly kind: Kind;
  readonly given: ProxyLogin | undefined;
  readonly sentence: RegExp;
}

const [, squidWithLogin, squidOverTls, mitmdump, , , microsocksWithLogin] = kinds;
const wrong: ProxyLogin = { username: 'ann', password: 'wrong' };

const refusals: readonly Refusal[] = [
  ...[squidWithLogin, squidOverTls, mitmdump].flatMap((kind): Refusal[] =>
    kind === undefined
      ? []
      : [
          {
            name: `${kind.name}, none given`,
            kind,
            given: undefined,
            sentence: /\(407\): set username and password of upstreamHttpProxy/,
          },
          {
            name: `${kind.name}, wrong ones given`,
            kind,
            given: wrong,
            sentence: /did not accept the user name and password of upstreamHttpProxy \(407\)/,
          },
        ],
  ),
  ...(microsocksWithLogin === undefined
    ? []
    : [
        {
          name: 'microsocks, none given',
          kind: microsocksWithLogin,
          given: undefined,
          sentence: /set username and password of upstreamSocks5Proxy/,
        },
        {
          name: 'microsocks, wrong ones given',
          kind: microsocksWithLogin,
          given: wrong,
          sentence: /did not accept the user name and password of upstreamSocks5Proxy/,
        },
      ]),
];

describe.each(refusals.filter(({ kind }) => !isMissing(kind.command)))(
  'credentials: $name',
  ({ kind, given, sentence }) => {
    const ways = [
      [
        'intercepted',
        (port: number, url: string) =>
          answerTo(port, `CONNECT ${new URL(url).host} HTTP/1.1\r\nHost: x\r\n\r\n`),
      ],
      [
        'plain',
        (port: number, url: string) =>
          answerTo(port, `GET ${url}/ HTTP/1.1\r\nHost: ${new URL(url).host}\r\n\r\n`),
      ],
    ] as const;

    test.each(ways)('%s: a 502 that says which are missing, and never a 407', async (_way, ask) => {
      await using origin = await startHttpOrigin();
      await using next = await kind.start();
      await using proxy = await startProxy({
        trusts: authority,
        config: wayThrough(kind, next.port, given),
      });
      const answer = await ask(proxy.port, origin.url);
      expect(answer).toMatch(/^HTTP\/1\.1 502 /);
      expect(answer).toMatch(sentence);
      expect(answer).not.toMatch(/proxy-authenticate/i);
      expect(answer).not.toContain('wrong');
      expect(origin.requests).toHaveLength(0);
      await proxy.finish();
      expect(closings(proxy).map(({ reasonCode }) => reasonCode)).toContain('upstream_connect_failed');
    });
  },
);

async function answerTo(port: number, request: string): Promise<string> {
  const socket = await dialLoopback(port);
  try {
    return (
      await rawExchange(socket, request, { until: (bytes) => /\r\n\r\n[^]*\n$/.test(bytes.toString()) })
    ).toString();
  } finally {
    await destroyed(socket);
  }
}

describe('what the next proxy does not allow', () => {
  test.skipIf(isMissing('squid'))(
    'squid denies: 502 with its status for CONNECT, its own answer for plain HTTP',
    async () => {
      await using next = await startSquid({ lines: ['http_access deny all'] });
      await using proxy = await startProxy({ config: wayThrough({ type: 'http' }, next.port) });
      expect(await answerTo(proxy.port, 'CONNECT denied.test:443 HTTP/1.1\r\nHost: x\r\n\r\n')).toMatch(
        /^HTTP\/1\.1 502 [^]*the next proxy answered 403\n$/,
      );
      const plain = await httpThroughProxy({ proxyPort: proxy.port, url: 'http://denied.test/' });
      expect(plain.status).toBe(403);
      expect(plain.rawHeaders).toContain('X-Squid-Error');
      await proxy.finish();
    },
  );

  test.skipIf(isMissing('danted'))('dante refuses by its rules: 502', async () => {
    await using origin = await startHttpsOrigin({ authority });
    await using next = await startDante([
      `socks block { from: 0.0.0.0/0 to: 127.0.0.1/32 port = ${origin.port} }`,
    ]);
    await using proxy = await startProxy({ config: wayThrough({ type: 'socks5' }, next.port) });
    expect(
      await answerTo(proxy.port, `CONNECT 127.0.0.1:${origin.port} HTTP/1.1\r\nHost: x\r\n\r\n`),
    ).toMatch(/^HTTP\/1\.1 502 [^]*the next proxy does not allow it\n$/);
    await proxy.finish();
    expect(closings(proxy)[0]?.reasonDetail).toBe(
      'upstream_connect_failed[upstream_socks5]: socks5: ruleset_blocked',
    );
  });

  test.skipIf(isMissing('microsocks'))('nobody is where the SOCKS5 proxy looks: 502', async () => {
    await using next = await startMicrosocks();
    await using proxy = await startProxy({ config: wayThrough({ type: 'socks5' }, next.port) });
    const answer = await answerTo(proxy.port, 'CONNECT nobody.invalid:443 HTTP/1.1\r\nHost: x\r\n\r\n');
    expect(answer).toMatch(/^HTTP\/1\.1 502 [^]*the next proxy /);
    await proxy.finish();
  });

  test.skipIf(isMissing('squid'))(
    'a proxy whose certificate nobody vouches for is not spoken to',
    async () => {
      await using next = await startSquid({ tls: authority, login });
      await using proxy = await startProxy({
        config: {
          ...wayThrough({ type: 'http', tls: true }, next.port, login),
          upstream: { trust: 'bundled' },
        },
      });
      expect(await answerTo(proxy.port, 'CONNECT example.test:443 HTTP/1.1\r\nHost: x\r\n\r\n')).toMatch(
        /^HTTP\/1\.1 502 [^]*the next proxy could not be spoken to securely \(unknown_ca\)\n$/,
      );
      await proxy.finish();
      expect(await next.log()).not.toContain('example.test');
    },
  );
});
