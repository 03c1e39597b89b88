// Which way single targets take, which addresses nobody reaches, and that a request never comes back for ever.
import type { MitmConfigInput, MitmEvent, PolicyInput } from 'soth-mitm';
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
  tlsOver,
} from '../lab/clients.ts';
import { startSquid } from '../lab/next-proxies.ts';
import { refusedPort, startHttpOrigin, startHttpsOrigin } from '../lab/origins.ts';
import { type LabProxy, startProxy } from '../lab/proxy.ts';

let authority: LabAuthority;

beforeAll(async () => {
  authority = await createLabAuthority();
});

afterAll(async () => {
  await authority[Symbol.asyncDispose]();
});

const hasSquid = await hasCommand('squid');
const open = { destinations: ['*:*'] };

function decisionsOf({ events }: LabProxy) {
  return events.events().flatMap((event) => (event.kind === 'connect_decision' ? [event] : []));
}

/** What the proxy answers to a request line and its Host. */
async function answerTo(port: number, line: string, host = 'x'): Promise<string> {
  const socket = await dialLoopback(port);
  try {
    const request = `${line} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
    return (await rawExchange(socket, request)).toString();
  } finally {
    await destroyed(socket);
  }
}

/** A proxy with two others behind it, the first of which is its usual way. */
async function withTwoProxies(
  more: (ports: { first: number; second: number }) => Partial<MitmConfigInput>,
  handler: Parameters<typeof startProxy>[0] & object = {},
) {
  const tunnelling = { config: { interception: { ...open, ignoreHosts: ['*'] } } };
  const [first, second] = [await startProxy(tunnelling), await startProxy(tunnelling)];
  const proxy = await startProxy({
    trusts: authority,
    ...handler,
    config: {
      routeMode: 'upstream_http',
      upstreamHttpProxy: { host: '127.0.0.1', port: first.port },
      upstreamProxies: [{ name: 'second', type: 'http', host: '127.0.0.1', port: second.port }],
      ...more({ first: first.port, second: second.port }),
    },
  });
  return {
    proxy,
    /** Which of the two were asked. */
    asked: () =>
      Object.entries({ first, second })
        .filter(([, { events }]) => events.kinds().includes('connect_received'))
        .map(([name]) => name),
    async [Symbol.asyncDispose]() {
      for (const each of [proxy, first, second]) await each[Symbol.asyncDispose]();
    },
  };
}

/** Every answer is a 508, and nothing went round. */
async function expectRefused(proxy: LabProxy, answers: readonly string[]): Promise<void> {
  for (const answer of answers) expect(answer).toMatch(/^HTTP\/1\.1 508 /);
  await proxy.finish();
  const { totalConnections } = proxy.handle.metrics();
  expect(totalConnections).toBeLessThanOrEqual(answers.length * 2);
}

/** A client whose hello names another host than its CONNECT. */
async function visit(sniCheck: 'off' | 'warn' | 'block') {
  await using origin = await startHttpsOrigin({ authority, names: ['localhost', 'front.test'] });
  await using proxy = await startProxy({
    trusts: authority,
    config: { interception: { ...open, sniCheck } },
  });
  await using tunnel = await connectTunnel(proxy.port, origin.authority);
  const stream = await tlsOver(tunnel.socket, { servername: 'front.test', ca: proxy.ca.certificatePem });
  const request = `GET / HTTP/1.1\r\nHost: ${origin.authority}\r\nConnection: close\r\n\r\n`;
  const status = (await rawExchange(stream, request)).toString().slice(0, 12);
  await destroyed(stream);
  await proxy.finish();
  return {
    status,
    findings: decisionsOf(proxy).map(({ findings }) => findings),
    seen: origin.requests.length,
  };
}

describe('the way of single targets', () => {
  const rows: readonly [string, Partial<MitmConfigInput>, readonly string[], object][] = [
    ['the usual one', {}, ['first'], {}],
    [
      'another one by a rule',
      { routes: [{ hosts: ['localhost'], via: 'second' }] },
      ['second'],
      { routeMode: 'upstream_http', routeReason: 'route_rule', routeVia: 'second' },
    ],
    [
      'straight on by a rule',
      { routes: [{ hosts: ['local*'], via: 'direct' }] },
      [],
      { routeMode: 'direct', routeReason: 'route_rule', routeVia: 'direct' },
    ],
    [
      'straight on by an exception, whatever the rules say',
      { routes: [{ hosts: ['*'], via: 'second' }], noProxy: ['localhost'] },
      [],
      { routeMode: 'direct', routeReason: 'no_proxy' },
    ],
  ];

  test.each(rows)('%s', async (_rule, config, asked, told) => {
    await using origin = await startHttpsOrigin({ authority });
    await using lab = await withTwoProxies(() => config);
    const { proxy } = lab;
    const answer = await httpsThroughProxy({ ...proxy.forClients, url: `${origin.url}/` });
    expect(answer.status).toBe(200);
    expect(lab.asked()).toEqual(asked);
    await proxy.finish();
    const [decision] = decisionsOf(proxy);
    expect(decision).toMatchObject(told);
    expect(Object.keys(decision ?? {}).filter((key) => key.startsWith('route'))).toEqual(Object.keys(told));
    expect(decision?.context.serverHost).toBe('localhost');
  });

  test('the handler’s word goes before all of it, for CONNECT and for plain requests', async () => {
    await using tls = await startHttpsOrigin({ authority });
    await using plain = await startHttpOrigin();
    const asked: string[] = [];
    await using lab = await withTwoProxies(() => ({ noProxy: ['localhost'] }), {
      handler: {
        resolveRoute: async ({ host, port }) => {
          asked.push(`${host}:${port}`);
          await Promise.resolve();
          return 'second';
        },
      },
    });
    const { proxy } = lab;
    await httpsThroughProxy({ ...proxy.forClients, url: `${tls.url}/` });
    const answer = await httpThroughProxy({ proxyPort: proxy.port, url: `${plain.url}/` });
    expect(answer.status).toBe(200);
    expect(lab.asked()).toEqual(['second']);
    expect(asked).toEqual([tls.authority, plain.authority]);
    await proxy.finish();
    expect(decisionsOf(proxy).map(({ routeReason }) => routeReason)).toEqual(['handler', 'handler']);
  });

  test('a reload takes another way for new connections', async () => {
    await using origin = await startHttpsOrigin({ authority });
    await using lab = await withTwoProxies(() => ({}));
    const { proxy } = lab;
    const config = { ...proxy.handle.currentConfig(), routes: [{ hosts: ['*'], via: 'second' }] };
    expect(await proxy.handle.reload(config)).toEqual(['routes']);
    await httpsThroughProxy({ ...proxy.forClients, url: `${origin.url}/` });
    expect(lab.asked()).toEqual(['second']);
    await proxy.finish();
  });
});

describe('a proxy pointed at itself answers 508, once', () => {
  const names = ['127.0.0.1', 'localhost', '[::ffff:127.0.0.1]', '[::1]', '0.0.0.0', '127.7.7.7'];

  test.each(names)('as a target: %s', async (host) => {
    await using proxy = await startProxy({ config: { bind: '0.0.0.0:0' } });
    const target = `${host}:${proxy.port}`;
    await expectRefused(proxy, [
      await answerTo(proxy.port, `CONNECT ${target}`, target),
      await answerTo(proxy.port, `GET http://${target}/`, target),
    ]);
  });

  test.each(['localhost', '127.0.0.1', '::ffff:127.0.0.1'])('as its own next proxy: %s', async (host) => {
    const port = await refusedPort();
    await using proxy = await startProxy({
      config: { bind: `127.0.0.1:${port}`, routeMode: 'upstream_http', upstreamHttpProxy: { host, port } },
    });
    await expectRefused(proxy, [
      await answerTo(port, 'CONNECT far.test:443'),
      await answerTo(port, 'GET http://far.test/', 'far.test'),
    ]);
  });

  test('by way of another proxy that comes back to it', async () => {
    const port = await refusedPort();
    await using other = await startProxy({
      config: { routeMode: 'upstream_http', upstreamHttpProxy: { host: '127.0.0.1', port } },
    });
    await using proxy = await startProxy({
      config: {
        bind: `127.0.0.1:${port}`,
        routeMode: 'upstream_http',
        upstreamHttpProxy: { host: '127.0.0.1', port: other.port },
      },
    });
    await expectRefused(proxy, [
      await answerTo(port, 'CONNECT far.test:443'),
      await answerTo(port, 'GET http://far.test/', 'far.test'),
    ]);
  });

  test.skipIf(!hasSquid)('by way of squid, that comes back to it', async () => {
    await using proxy = await startProxy();
    const { port } = proxy;
    // It asks only for parents that it has seen alive.
    await using squid = await startSquid({
      lines: [`cache_peer 127.0.0.1 parent ${port} 0 no-query default`, 'never_direct allow all'],
    });
    await proxy.handle.reload({
      ...proxy.handle.currentConfig(),
      routeMode: 'upstream_http',
      upstreamHttpProxy: { host: '127.0.0.1', port: squid.port },
    });
    const before = proxy.handle.metrics().totalConnections;
    const answers = [
      await answerTo(port, 'CONNECT far.test:443'),
      await answerTo(port, 'GET http://far.test/', 'far.test'),
    ];
    expect(answers.map((answer) => answer.slice(0, 12))).toEqual(['HTTP/1.1 508', 'HTTP/1.1 508']);
    await proxy.finish();
    // The client's two, what squid brought back of each, and where it looked whether we live: nothing goes round.
    expect(proxy.handle.metrics().totalConnections - before).toBeLessThan(10);
  });
});

describe('addresses that nobody reaches', () => {
  const blocking = { config: { interception: { ...open, privateTargetCheck: 'block' } } } as const;

  test.each(['localhost', '127.0.0.1', '[::ffff:127.0.0.1]', '169.254.169.254', '[64:ff9b::a9fe:a9fe]'])(
    '%s is refused, for a CONNECT and for a plain request',
    async (host) => {
      await using origin = await startHttpOrigin();
      await using proxy = await startProxy(blocking);
      const target = `${host}:${origin.port}`;
      const answers = [
        await answerTo(proxy.port, `CONNECT ${target}`, target),
        await answerTo(proxy.port, `GET http://${target}/`, target),
      ];
      for (const answer of answers) expect(answer).toMatch(/^HTTP\/1\.1 403 [^]*private_target\n$/);
      expect(origin.connectionCount).toBe(0);
      await proxy.finish();
      expect(decisionsOf(proxy).at(-1)).toMatchObject({ action: 'block', reason: 'private_target' });
    },
  );

  test('a warning lets it pass, and says so', async () => {
    await using origin = await startHttpsOrigin({ authority });
    await using proxy = await startProxy({
      trusts: authority,
      config: { interception: { ...open, privateTargetCheck: 'warn', ipLiteralCheck: 'warn' } },
    });
    const url = `https://127.0.0.1:${origin.port}/`;
    expect((await httpsThroughProxy({ ...proxy.forClients, url })).status).toBe(200);
    await proxy.finish();
    expect(decisionsOf(proxy)[0]).toMatchObject({
      action: 'intercept',
      findings: 'ip_literal,private_target',
    });
  });

  test('an exception is reached', async () => {
    await using origin = await startHttpOrigin();
    await using proxy = await startProxy({
      config: {
        interception: { ...open, privateTargetCheck: 'block', allowedPrivateTargets: ['localhost'] },
      },
    });
    expect((await httpThroughProxy({ proxyPort: proxy.port, url: `${origin.url}/` })).status).toBe(200);
    await proxy.finish();
  });
});

describe('a server name that is not the host of its CONNECT', () => {
  test.each([
    ['off', 'HTTP/1.1 200', [undefined], 1],
    ['warn', 'HTTP/1.1 200', [undefined, 'sni_mismatch'], 1],
    ['block', 'HTTP/1.1 403', [undefined, 'sni_mismatch'], 0],
  ] as const)('%s', async (sniCheck, status, findings, seen) => {
    expect(await visit(sniCheck)).toEqual({ status, findings, seen });
  });
});

describe('a policy is told what it wants to know', () => {
  test('the address, each request and the verified origin', async () => {
    await using origin = await startHttpsOrigin({ authority });
    const inputs: PolicyInput[] = [];
    await using proxy = await startProxy({
      trusts: authority,
      policy: {
        wants: ['address', 'request', 'upstream_identity'],
        decide: (input) => {
          inputs.push(input);
          return { action: input.path === '/no' ? 'block' : 'intercept', reason: 'mine' };
        },
      },
    });
    const url = `https://localhost:${origin.port}`;
    const statuses = [
      (await httpsThroughProxy({ ...proxy.forClients, url: `${url}/yes` })).status,
      (await httpsThroughProxy({ ...proxy.forClients, url: `${url}/no` })).status,
    ];
    expect(statuses).toEqual([200, 403]);
    expect(origin.requests.map((seen) => seen.url)).toEqual(['/yes']);
    await proxy.finish();
    const identity = expect.objectContaining({ names: ['localhost', '127.0.0.1', '::1'] });
    const common = {
      host: 'localhost',
      port: origin.port,
      connectHost: 'localhost',
      addressClass: 'loopback',
    };
    const hello = { ...common, sni: 'localhost', ja4: expect.any(String) };
    const steps = [common, hello, { ...hello, upstreamIdentity: identity }];
    const request = { ...hello, scheme: 'https', authority: origin.authority, upstreamIdentity: identity };
    // The second client found the first one's connection waiting, and its origin known.
    expect(inputs).toMatchObject([
      ...steps,
      { ...request, path: '/yes' },
      ...steps,
      { ...request, path: '/no' },
    ]);
  });

  test('an origin that is not who it should be is refused', async () => {
    await using origin = await startHttpsOrigin({ authority });
    await using proxy = await startProxy({
      trusts: authority,
      policy: {
        wants: ['upstream_identity'],
        decide: ({ upstreamIdentity }) =>
          upstreamIdentity === undefined
            ? { action: 'intercept', reason: 'not_yet' }
            : { action: 'block', reason: 'wrong_issuer' },
      },
    });
    const answer = await httpsThroughProxy({ ...proxy.forClients, url: `${origin.url}/` });
    expect([answer.status, answer.body.toString()]).toEqual([403, 'wrong_issuer\n']);
    expect(origin.requests).toHaveLength(0);
    await proxy.finish();
    const stages = proxy.events
      .events()
      .filter((event: MitmEvent) => event.kind === 'connect_decision')
      .map((event) => ('stage' in event ? event.stage : undefined));
    expect(stages).toEqual([undefined, 'upstream']);
  });
});
