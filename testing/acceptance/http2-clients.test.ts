// What programs that speak HTTP/2 get through the proxy: curl, undici, node, nghttp, h2load and Go, with a handler that reads all
// bodies and with none. A program that is not installed is skipped.
import { randomBytes } from 'node:crypto';
import type { ServerHttp2Stream } from 'node:http2';
import { createServer, type Socket } from 'node:net';

import type { InterceptHandler } from 'soth-mitm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import { connectTunnel, curl, hasCommand } from '../lab/clients.ts';
import { dataFrame, endHeaders, endStream, headersFrame } from '../lab/h2-frames.ts';
import { dialRawPeer, getFields, postFields, startRawH2Origin } from '../lab/h2-raw-peers.ts';
import { GoClient, type Http2Program, http2Programs } from '../lab/http2-clients.ts';
import { type Http2Origin, startHttp2Origin } from '../lab/http2-peers.ts';
import { listen } from '../lab/listening.ts';
import { runProgram } from '../lab/programs.ts';
import { type LabProxy, startProxy } from '../lab/proxy.ts';

const mebibyte = 1024 * 1024;
const bigBody = randomBytes(mebibyte);

let authority: LabAuthority;
let origin: Http2Origin;
beforeAll(async () => {
  authority = await createLabAuthority();
  origin = await startHttp2Origin({
    authority,
    onStream: (stream, headers) => answer(stream, String(headers[':path'])),
  });
});
afterAll(async () => {
  await origin[Symbol.asyncDispose]();
  await authority[Symbol.asyncDispose]();
});

function answer(stream: ServerHttp2Stream, path: string): void {
  switch (path) {
    case '/echo':
      stream.respond({ ':status': 200 });
      stream.pipe(stream);
      return;
    case '/204':
    case '/304':
      stream.respond({ ':status': Number(path.slice(1)) }, { endStream: true });
      return;
    default:
      stream.respond({ ':status': 200, 'content-length': 5 });
      stream.end('hello');
  }
}

const handlers: readonly (readonly [string, InterceptHandler])[] = [
  ['no handler', {}],
  ['a handler that reads all bodies', { onRequest: () => ({ action: 'allow' }), onResponse: () => {} }],
];

function settingsOf(proxy: LabProxy) {
  return { ...proxy.forClients, caFile: proxy.caFile };
}

function url(path: string): string {
  return `https://${origin.authority}${path}`;
}

async function expectAll(send: Http2Program['send'], handler: InterceptHandler): Promise<void> {
  await using proxy = await startProxy({ trusts: authority, handler });
  const settings = settingsOf(proxy);
  const plain = await send({ method: 'GET', url: url('/') }, settings);
  expect(plain).toMatchObject({ status: 200, body: Buffer.from('hello') });
  expect([undefined, '2']).toContain(plain.version);
  for (const body of [Buffer.from('small'), bigBody]) {
    const echoed = await send({ method: 'POST', url: url('/echo'), body }, settings);
    expect(echoed.status).toBe(200);
    expect(echoed.body.equals(body)).toBe(true);
  }
  expect(await send({ method: 'HEAD', url: url('/') }, settings)).toMatchObject({
    status: 200,
    body: Buffer.alloc(0),
  });
  expect(await send({ method: 'GET', url: url('/204') }, settings)).toMatchObject({ status: 204 });
  expect(await send({ method: 'GET', url: url('/304') }, settings)).toMatchObject({ status: 304 });
  await proxy.finish();
  const heads = proxy.events.events().filter((event) => event.kind === 'request_headers');
  expect(heads.map(({ version }) => version)).toEqual(Array.from({ length: 6 }, () => 'HTTP/2'));
}

for (const { name, command, send } of http2Programs) {
  const isThere = command === undefined || (await hasCommand(command));
  test.skipIf(!isThere).each(handlers)(
    `${name} gets every kind of exchange, with %s`,
    async (_how, handler) => {
      await expectAll(send, handler);
    },
  );
}

// Building takes long where nothing of Go's library is in the cache, so it is asked for.
const hasGo = (await hasCommand('go')) && process.env['SOTH_TEST_GO'] === '1';
test.skipIf(!hasGo)(
  "Go's client gets every kind of exchange (skipped without Go or SOTH_TEST_GO=1)",
  { timeout: 180_000 },
  async () => {
    await using go = await GoClient.build();
    for (const [, handler] of handlers)
      await expectAll((request, settings) => go.send(request, settings), handler);
  },
);

describe.skipIf(!(await hasCommand('curl')))('curl (skipped where it is not installed)', () => {
  test('uses one connection for 20 transfers at once, on both sides', async () => {
    const before = origin.sessions.length;
    await using proxy = await startProxy({ trusts: authority });
    const args = ['-sS', '--http2', '-Z', '--proxy', `http://127.0.0.1:${proxy.port}`];
    const result = await curl([...args, '--cacert', proxy.caFile, '-w', '%{http_version} ', url('/[1-20]')]);
    expect(result.code).toBe(0);
    expect(result.stdout.toString().match(/hello/gu)).toHaveLength(20);
    expect(origin.sessions.length - before).toBe(1);
    await proxy.finish();
  });
});

/** Programs that know no proxy reach the origin through a port that makes the CONNECT for them. */
async function startShim(proxy: LabProxy) {
  const relay = async (client: Socket): Promise<void> => {
    client.on('error', () => {}); // the program tells what it lacks
    client.pause();
    const { socket } = await connectTunnel(proxy.port, origin.authority);
    socket.on('error', () => {});
    client.on('close', () => socket.destroy());
    socket.on('close', () => client.destroy());
    client.pipe(socket).pipe(client);
  };
  return await listen(createServer((client) => void relay(client)));
}

describe.skipIf(!(await hasCommand('h2load')))('h2load (skipped where it is not installed)', () => {
  test('loses none of 3,000 requests on 6 connections', async ({ annotate }) => {
    await using proxy = await startProxy({ trusts: authority });
    await using shim = await startShim(proxy);
    const args = ['-n', '3000', '-c', '6', '-m', '32', `--connect-to=127.0.0.1:${shim.port}`];
    const { stdout } = await runProgram('h2load', [...args, `https://${origin.authority}/`], {
      timeoutMs: 40_000,
    });
    const text = stdout.toString();
    await annotate(/finished in .*/u.exec(text)?.[0] ?? '');
    expect(text).toContain('3000 succeeded, 0 failed, 0 errored, 0 timeout');
    await proxy.finish();
    expect(proxy.handle.metrics()).toMatchObject({ requestCount: 3_000 });
  });
});

describe.skipIf(!(await hasCommand('nghttp')))('nghttp (skipped where it is not installed)', () => {
  test('gets a page in many streams, padded and with a window of its own', async () => {
    await using proxy = await startProxy({ trusts: authority });
    await using shim = await startShim(proxy);
    const args = ['-n', '-s', '-m', '30', '-w', '14', '-W', '16', '--padding=20', '--no-dep'];
    const { code, stdout } = await runProgram('nghttp', [...args, `https://127.0.0.1:${shim.port}/`]);
    expect(code).toBe(0);
    expect(stdout.toString().match(/ 200 /gu)).toHaveLength(30);
    await proxy.finish();
  });
});

describe('what comes before a final answer', () => {
  test('1xx heads pass, each one', async () => {
    await using raw = await startRawH2Origin({
      authority,
      onPeer: async (peer) => {
        await peer.until(() => peer.stream(1).isEnded, 'the request');
        peer.send(
          headersFrame(1, [':status', '102']),
          headersFrame(1, [':status', '103', 'link', '</a.css>; rel=preload']),
          headersFrame(1, [':status', '200']),
          dataFrame(1, 'done', endStream),
        );
      },
    });
    await using proxy = await startProxy({ trusts: authority });
    const target = { ...proxy.forClients, authority: raw.authority };
    await using client = await dialRawPeer(target);
    const seen = await client.over(client.ask(getFields(raw.authority)));
    expect(seen.heads).toEqual([
      [':status', '102'],
      [':status', '103', 'link', '</a.css>; rel=preload'],
      [':status', '200'],
    ]);
    await client[Symbol.asyncDispose]();
    await proxy.finish();
  });

  test.each(handlers)('Expect is met once, with %s', async (how, handler) => {
    await using raw = await startRawH2Origin({
      authority,
      onPeer: async (peer) => {
        await peer.until(() => peer.stream(1).heads.length > 0, 'the head');
        if (how === 'no handler') peer.send(headersFrame(1, [':status', '100']));
        await peer.until(() => peer.stream(1).isEnded, 'the body');
        peer.send(headersFrame(1, [':status', '200'], endHeaders | endStream));
      },
    });
    await using proxy = await startProxy({ trusts: authority, handler });
    const target = { ...proxy.forClients, authority: raw.authority };
    await using client = await dialRawPeer(target);
    const id = client.ask(postFields(raw.authority, '/', 'expect', '100-continue'), endHeaders);
    await client.until(() => client.stream(id).heads.length > 0, 'the invitation');
    client.send(dataFrame(id, 'body', endStream));
    const seen = await client.over(id);
    expect(seen.heads.map((head) => head[1])).toEqual(['100', '200']);
    // Who was invited by the proxy is not announced to the origin as waiting.
    expect(raw.peers[0]?.stream(1).heads[0]?.includes('expect')).toBe(how === 'no handler');
    await client[Symbol.asyncDispose]();
    await proxy.finish();
  });
});
