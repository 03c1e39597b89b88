// Origins answer as told, log what came, and end with everything they opened.
import { request as httpRequest } from 'node:http';

import { expect, test } from 'vitest';

import { ByteLog } from './byte-log.ts';
import { createLabAuthority } from './certificates.ts';
import { destroyed, dialLoopback, rawExchange, tlsOver } from './clients.ts';
import {
  refusedPort,
  startBannerOrigin,
  startHttpOrigin,
  startHttpsOrigin,
  startRawOrigin,
  startSilentOrigin,
  startSseOrigin,
  startTcpEcho,
} from './origins.ts';
import { expectNothingLeft, openHandles } from './resources.ts';

const closingGet = 'GET /a?b HTTP/1.1\r\nhOsT: x\r\nConnection: close\r\n\r\n';

test('an HTTP origin says ok and logs the request as the wire had it', async () => {
  const before = openHandles();
  {
    await using origin = await startHttpOrigin();
    const socket = await dialLoopback(origin.port);
    const answer = await rawExchange(
      socket,
      'POST /a?b HTTP/1.1\r\nhOsT: x\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody',
    );
    expect(answer.toString('latin1')).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nok$/);
    const seen = await origin.request(0);
    expect(seen).toMatchObject({ method: 'POST', url: '/a?b', httpVersion: '1.1', connectionIndex: 0 });
    expect(seen.rawHeaders.slice(0, 4)).toEqual(['hOsT', 'x', 'Content-Length', '4']);
    expect((await seen.finished).toString()).toBe('body');
    expect(origin.connectionCount).toBe(1);
    await destroyed(socket);
  }
  await expectNothingLeft(before);
});

test('the log tells which requests shared a connection', async () => {
  await using origin = await startHttpOrigin();
  const kept = await dialLoopback(origin.port);
  await rawExchange(kept, 'GET /1 HTTP/1.1\r\nHost: x\r\n\r\n', { until: 'ok' });
  await rawExchange(kept, closingGet);
  await rawExchange(await dialLoopback(origin.port), closingGet);
  expect(origin.requests.map((seen) => seen.connectionIndex)).toEqual([0, 0, 1]);
});

test("a handler's own answer and trailers pass, and its failure fails the disposal", async () => {
  const origin = await startHttpOrigin((seen, response) => {
    if (seen.url === '/broken') throw new Error('planted');
    response.writeHead(204, { 'X-Path': seen.url }).end();
  });
  const answer = await rawExchange(await dialLoopback(origin.port), closingGet);
  expect(answer.toString()).toContain('HTTP/1.1 204 No Content\r\nX-Path: /a?b\r\n');
  await rawExchange(await dialLoopback(origin.port), 'GET /broken HTTP/1.1\r\nHost: x\r\n\r\n');
  await expect(origin[Symbol.asyncDispose]()).rejects.toMatchObject({ errors: [new Error('planted')] });
});

test('an origin listens on ::1 too where asked', async () => {
  await using origin = await startHttpOrigin(undefined, { ipv6: true });
  for (const host of ['127.0.0.1', '::1']) {
    const answer = await rawExchange(await dialLoopback(origin.port, host), closingGet);
    expect(answer.toString()).toContain('200 OK');
  }
  expect(origin.connectionCount).toBe(2);
});

test('an HTTPS origin logs the handshake, and its TLS versions are bounded', async () => {
  const before = openHandles();
  {
    await using authority = await createLabAuthority();
    await using origin = await startHttpsOrigin({ authority, maxVersion: 'TLSv1.2', ipv6: true });
    const secure = await tlsOver(await dialLoopback(origin.port, '::1'), {
      servername: 'localhost',
      ca: authority.caPem,
      alpn: ['h2', 'http/1.1'],
    });
    const answer = await rawExchange(secure, closingGet);
    expect(answer.toString()).toContain('200 OK');
    expect(origin.handshakes).toEqual([{ servername: 'localhost', alpn: 'http/1.1', protocol: 'TLSv1.2' }]);
    expect(origin.url).toBe(`https://localhost:${origin.port}`);
    await destroyed(secure);
  }
  await expectNothingLeft(before);
});

test('an HTTPS origin that requires a client certificate turns away a client without', async () => {
  await using authority = await createLabAuthority();
  await using origin = await startHttpsOrigin({
    authority,
    requireClientCertificate: true,
    maxVersion: 'TLSv1.2',
  });
  const handshake = tlsOver(await dialLoopback(origin.port), {
    servername: 'localhost',
    ca: authority.caPem,
  });
  await expect(handshake).rejects.toThrow(/handshake failure|certificate required/i);
});

test('a raw origin writes exactly its script and records what it received', async () => {
  await using authority = await createLabAuthority();
  await using origin = await startRawOrigin({
    tls: { authority, alpn: ['http/1.1'] },
    onConnection: async (socket, index, log) => {
      await log.until('\r\n\r\n');
      socket.end(`HTTP/1.1 200\r\nX-Index: ${index}\r\n\r\n`);
    },
  });
  const secure = await tlsOver(await dialLoopback(origin.port), {
    servername: 'localhost',
    ca: authority.caPem,
  });
  expect((await rawExchange(secure, closingGet)).toString()).toBe('HTTP/1.1 200\r\nX-Index: 0\r\n\r\n');
  expect(origin.connections[0]?.received.toString()).toBe(closingGet);
  await destroyed(secure);
});

test("a raw script's failure fails the disposal, one that the disposal broke off does not", async () => {
  const failing = await startRawOrigin({
    onConnection: () => {
      throw new Error('planted');
    },
  });
  await new ByteLog(await dialLoopback(failing.port)).closed();
  await expect(failing[Symbol.asyncDispose]()).rejects.toMatchObject({ errors: [new Error('planted')] });

  const waiting = await startRawOrigin({
    onConnection: async (_socket, _index, log) => void (await log.until('x')),
  });
  const client = new ByteLog(await dialLoopback(waiting.port));
  await expect(waiting[Symbol.asyncDispose]()).resolves.toBeUndefined();
  await client.closed();
});

test('echo, banner and silence', async () => {
  await using echo = await startTcpEcho();
  await using banner = await startBannerOrigin('220 ready\r\n');
  await using silent = await startSilentOrigin();
  const talking = await dialLoopback(echo.port);
  talking.end('ping');
  expect((await new ByteLog(talking).closed()).toString()).toBe('ping');
  const greeted = await dialLoopback(banner.port);
  expect((await rawExchange(greeted, '', { until: '220 ready\r\n' })).toString()).toBe('220 ready\r\n');
  const unheard = await dialLoopback(silent.port);
  await expect(rawExchange(unheard, 'hello', { deadlineMs: 30 })).rejects.toThrow(
    'did not happen within 30 ms',
  );
  await Promise.all([destroyed(greeted), destroyed(unheard)]);
});

test('a refused port refuses', async () => {
  await expect(dialLoopback(await refusedPort())).rejects.toMatchObject({ code: 'ECONNREFUSED' });
});

test('an SSE origin sends its events one after the other and ends', async () => {
  const before = openHandles();
  {
    await using origin = await startSseOrigin({ events: ['one', 'event: x\ndata: two\n\n'], intervalMs: 1 });
    const body = await new Promise<string>((resolve, reject) => {
      let text = '';
      const request = httpRequest(
        origin.url.replace('localhost', '127.0.0.1'),
        { agent: false },
        (response) => {
          response.setEncoding('utf8');
          response.on('data', (chunk: string) => (text += chunk));
          response.once('end', () => resolve(text));
        },
      );
      request.once('error', reject).end();
    });
    expect(body).toBe('data: one\n\nevent: x\ndata: two\n\n');
  }
  await expectNothingLeft(before);
});
