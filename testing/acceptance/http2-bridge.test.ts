// Two versions of HTTP on one exchange: with `http2Bridge`, what a client asks and what a handler sees do not depend on which of
// them either side speaks. Without it, no client is ever answered in a version that its origin does not have.
import { createSecureServer, type ServerHttp2Stream } from 'node:http2';

import type { InterceptHandler } from 'soth-mitm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import { httpsThroughProxy } from '../lab/clients.ts';
import { dialRawPeer, getFields } from '../lab/h2-raw-peers.ts';
import { askHttp2, type Http2Client, http2ThroughProxy, startHttp2Origin } from '../lab/http2-peers.ts';
import { listen } from '../lab/listening.ts';
import { loopbackNames, startHttpsOrigin, startRawOrigin } from '../lab/origins.ts';
import { type LabProxy, startProxy } from '../lab/proxy.ts';

let authority: LabAuthority;
beforeAll(async () => {
  authority = await createLabAuthority();
});
afterAll(() => authority[Symbol.asyncDispose]());

const bridged = { http2Bridge: true } as const;

function dial(proxy: LabProxy, target: string): Promise<Http2Client> {
  return http2ThroughProxy({ ...proxy.forClients, authority: target });
}

function dialRaw(proxy: LabProxy, target: string) {
  return dialRawPeer({ ...proxy.forClients, authority: target });
}

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly body?: string;
}

const script: readonly Asked[] = [
  { method: 'GET', path: '/plain?a=1&b=%20' },
  { method: 'HEAD', path: '/plain' },
  { method: 'GET', path: '/204' },
  { method: 'GET', path: '/304' },
  { method: 'GET', path: '/404' },
  { method: 'POST', path: '/echo', body: 'a body' },
  { method: 'PUT', path: '/echo', body: 'x'.repeat(100_000) },
  { method: 'DELETE', path: '/echo' },
  { method: 'OPTIONS', path: '/echo' },
];

interface Told {
  readonly status: number;
  readonly body: string;
}

function answerTo(path: string, body: string): Told {
  const status = Number(/^\/(\d{3})/u.exec(path)?.[1] ?? 200);
  if (status === 204 || status === 304) return { status, body: '' };
  return { status, body: path === '/echo' ? `echo: ${body}` : `this is ${path}` };
}

async function textOf(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

async function answerStream(stream: ServerHttp2Stream, path: string): Promise<void> {
  const told = answerTo(path, await textOf(stream));
  stream.respond({ ':status': told.status, 'x-origin': 'lab' });
  stream.end(told.body);
}

const versions = ['HTTP/1.1', 'HTTP/2'] as const;
type Version = (typeof versions)[number];

function startOrigin(version: Version) {
  return version === 'HTTP/2'
    ? startHttp2Origin({
        authority,
        onStream: (stream, headers) => void answerStream(stream, String(headers[':path'])),
      })
    : startHttpsOrigin({
        authority,
        handler: async (seen, response) => {
          const told = answerTo(seen.url, (await seen.finished).toString());
          response.writeHead(told.status, { 'x-origin': 'lab' });
          response.end(told.body);
        },
      });
}

async function ask(version: Version, proxy: LabProxy, target: string, asked: Asked): Promise<Told> {
  const { method, path, body } = asked;
  if (version === 'HTTP/1.1') {
    const answer = await httpsThroughProxy({
      ...proxy.forClients,
      url: `https://${target}${path}`,
      method,
      headers: ['Accept', 'text/plain', 'X-Client', 'lab'],
      ...(body !== undefined && { body }),
    });
    return { status: answer.status, body: answer.body.toString() };
  }
  await using client = await dial(proxy, target);
  const fields = { ':method': method, ':path': path, accept: 'text/plain', 'x-client': 'lab' };
  const answer = await askHttp2(client, fields, body);
  expect(answer.rstCode).toBe(0);
  return { status: Number(answer.headers[':status']), body: answer.body.toString() };
}

/** Fields of one connection or one version. */
const unequal = new Set(['host', 'content-length', 'transfer-encoding', 'connection', 'keep-alive', 'date']);

function comparable(list: readonly string[]): string[] {
  const lines: string[] = [];
  for (let index = 0; index < list.length; index += 2) {
    const name = list[index]?.toLowerCase() ?? '';
    if (!unequal.has(name)) lines.push(`${name}: ${list[index + 1]}`);
  }
  return lines;
}

/** What a handler sees of the script between these two. */
async function viewOf(clientVersion: Version, originVersion: Version): Promise<unknown> {
  const view: unknown[] = [];
  const handler: InterceptHandler = {
    onRequest: ({ method, scheme, path, headers, body, bodyTruncated }) => {
      const text = Buffer.from(body).toString();
      view.push({ method, scheme, path, headers: comparable(headers.list), text, bodyTruncated });
      return { action: 'allow' };
    },
    onResponse: ({ status, headers, body }) => {
      view.push({ status, headers: comparable(headers.list), text: Buffer.from(body).toString() });
    },
  };
  await using origin = await startOrigin(originVersion);
  await using proxy = await startProxy({ trusts: authority, handler, config: bridged });
  const told: Told[] = [];
  for (const asked of script) told.push(await ask(clientVersion, proxy, origin.authority, asked));
  expect(told).toEqual(
    script.map(({ method, path, body = '' }) => {
      const answer = answerTo(path, body);
      return method === 'HEAD' ? { ...answer, body: '' } : answer;
    }),
  );
  await proxy.finish();
  expect(proxy.handle.metrics().closedByReason).toMatchObject({ mitm_http_completed: 2 * script.length });
  return view;
}

describe('the same requests', () => {
  test('give the handler the same view in all four pairings', async () => {
    const [first, ...others] = await Promise.all(
      versions.flatMap((client) => versions.map((origin) => viewOf(client, origin))),
    );
    expect(first).toHaveLength(2 * script.length);
    for (const other of others) expect(other).toEqual(first);
  });
});

describe('an HTTP/2 client of an HTTP/1 origin', () => {
  test('H2-06 is served, and the events name both versions', async () => {
    await using origin = await startHttpsOrigin({ authority });
    await using proxy = await startProxy({ trusts: authority, config: bridged });
    await using client = await dial(proxy, origin.authority);
    const answer = await askHttp2(client, { ':path': '/' });
    expect([answer.headers[':status'], answer.body.toString()]).toEqual([200, 'ok']);
    await client[Symbol.asyncDispose]();
    await proxy.finish();
    const shaken = proxy.events.events().filter(({ kind }) => kind === 'tls_handshake_succeeded');
    expect(shaken).toMatchObject([
      { peer: 'upstream', negotiatedAlpn: 'http/1.1' },
      { peer: 'downstream', negotiatedAlpn: 'h2' },
    ]);
    expect(proxy.events.ofFlow(2)[0]).toMatchObject({ version: 'HTTP/2', context: { protocol: 'http2' } });
    expect(proxy.handle.metrics().closedByReason).toMatchObject({ mitm_http_completed: 2 });
    expect(origin.requests[0]?.rawHeaders.slice(0, 2)).toEqual(['Host', origin.authority]);
  });

  test('H2-09 with 16 streams at once has 16 connections there', async () => {
    await using origin = await startHttpsOrigin({
      authority,
      handler: async (_seen, response) => {
        await origin.request(15);
        response.end('ok');
      },
    });
    await using proxy = await startProxy({ trusts: authority, config: bridged });
    await using client = await dial(proxy, origin.authority);
    const answers = await Promise.all(Array.from({ length: 16 }, () => askHttp2(client, { ':path': '/' })));
    expect(answers.every(({ body }) => body.toString() === 'ok')).toBe(true);
    expect(origin.connectionCount).toBe(16);
    await client[Symbol.asyncDispose]();
    await proxy.finish();
    expect(proxy.handle.metrics().closedByReason).toMatchObject({ mitm_http_completed: 17 });
  });

  test('H2-17 gets an answer that is larger than the copy of the handler', async () => {
    const body = Buffer.alloc(8 * 1024, 'x');
    await using origin = await startHttpsOrigin({
      authority,
      handler: (_seen, response) => void response.end(body),
    });
    const truncated: boolean[] = [];
    await using proxy = await startProxy({
      trusts: authority,
      handler: { onResponse: ({ bodyTruncated }) => void truncated.push(bodyTruncated) },
      config: { ...bridged, body: { maxSizeBytes: 1024 } },
    });
    await using client = await dial(proxy, origin.authority);
    const answer = await askHttp2(client, { ':path': '/' });
    expect([answer.rstCode, answer.body.length]).toEqual([0, body.length]);
    await client[Symbol.asyncDispose]();
    await proxy.finish();
    expect(truncated).toEqual([true]);
  });

  test('H2-18 gets such an answer cut where h2ResponseOverflowMode is strict_fail', async () => {
    await using origin = await startHttpsOrigin({
      authority,
      handler: (_seen, response) => void response.end(Buffer.alloc(8 * 1024)),
    });
    await using proxy = await startProxy({
      trusts: authority,
      handler: { onResponse: () => {} },
      config: {
        ...bridged,
        body: { maxSizeBytes: 1024 },
        upstream: { h2ResponseOverflowMode: 'strict_fail' },
      },
    });
    await using client = await dialRaw(proxy, origin.authority);
    const seen = await client.over(client.ask(getFields(origin.authority)));
    expect([seen.isEnded, seen.resetCode === undefined]).toEqual([false, false]);
    await client[Symbol.asyncDispose]();
    await proxy.finish();
    expect(proxy.events.ofFlow(2).at(-1)).toMatchObject({
      reasonCode: 'mitm_http_error',
      reasonDetail: expect.stringContaining('strict overflow mode'),
    });
  });

  test('H2-19 waits for the next piece as long as for the last', { timeout: 20_000 }, async () => {
    await using origin = await startHttpsOrigin({
      authority,
      handler: async (_seen, response) => {
        for (let index = 0; index < 6; index += 1) {
          response.write(Buffer.alloc(256));
          await new Promise((resolve) => {
            setTimeout(resolve, 300);
          });
        }
        response.end();
      },
    });
    await using proxy = await startProxy({
      trusts: authority,
      config: { ...bridged, timeouts: { bodyIdleMs: 1_200 }, upstream: { timeoutMs: 1_200 } },
    });
    await using client = await dial(proxy, origin.authority);
    const answer = await askHttp2(client, { ':path': '/' });
    expect([answer.rstCode, answer.body.length]).toEqual([0, 6 * 256]);
    await client[Symbol.asyncDispose]();
    await proxy.finish();
  });

  test('H2-21 in strict header mode gets nothing of an answer in HTTP/1.0', async () => {
    await using origin = await startRawOrigin({
      tls: { authority, alpn: ['http/1.1'] },
      onConnection: async (socket, _index, log) => {
        await log.until('\r\n\r\n');
        socket.end('HTTP/1.0 200 OK\r\nX-Old: yes\r\n\r\nold');
      },
    });
    await using proxy = await startProxy({
      trusts: authority,
      config: {
        ...bridged,
        compatibilityOverrides: [{ ruleId: 'strict', hostPattern: 'localhost', strictHeaderMode: true }],
      },
    });
    await using client = await dial(proxy, origin.authority);
    const answer = await askHttp2(client, { ':path': '/' });
    expect(answer.headers[':status']).toBe(502);
    expect(answer.headers['x-old']).toBeUndefined();
    await client[Symbol.asyncDispose]();
    await proxy.finish();
    expect(proxy.events.ofFlow(2).at(-1)).toMatchObject({
      reasonCode: 'mitm_http_error',
      reasonDetail: expect.stringMatching(/strict/iu),
    });
  });

  test('H2-16 is served on in HTTP/2 when the origin changes to it', async () => {
    let count = 0;
    const { certPem, keyPem } = await authority.issue(loopbackNames);
    const server = createSecureServer({
      allowHTTP1: true,
      cert: certPem,
      key: keyPem,
      ALPNCallback: () => (count++ === 0 ? 'http/1.1' : 'h2'),
    });
    const unreadable: Error[] = [];
    server.on('sessionError', (error: Error) => unreadable.push(error));
    server.on('request', (request, response) => {
      response.setHeader('connection-version', request.httpVersion);
      if (request.httpVersion === '1.1') response.setHeader('connection', 'close');
      response.end(request.httpVersion);
    });
    await using listening = await listen(server);
    await using proxy = await startProxy({ trusts: authority, config: bridged });
    await using client = await dial(proxy, `localhost:${listening.port}`);
    const spoken: string[] = [];
    for (let index = 0; index < 3; index += 1)
      spoken.push((await askHttp2(client, { ':path': '/' })).body.toString());
    expect(spoken).toEqual(['1.1', '2.0', '2.0']);
    expect(unreadable).toEqual([]);
    await client[Symbol.asyncDispose]();
    await proxy.finish();
  });
});
