import { createServer } from 'node:net';

import { createMitmProxy, generateCa, type MitmProxyHandle } from 'soth-mitm';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../../../testing/lab/certificates.ts';
import { listen } from '../../../testing/lab/listening.ts';
import { type HttpsOrigin, startHttpsOrigin } from '../../../testing/lab/origins.ts';
import { type DemoAnswer, type DemoRequest, sendThroughProxy } from '../src/demo-request.ts';

let authority: LabAuthority;
let origin: HttpsOrigin;
let proxy: MitmProxyHandle;

beforeAll(async () => {
  authority = await createLabAuthority();
  origin = await startHttpsOrigin({
    authority,
    handler: async (seen, response) => {
      const body = await seen.finished;
      response.end(`${seen.method} ${seen.url} ${body.toString()}`);
    },
  });
  proxy = await createMitmProxy({
    config: {
      bind: '127.0.0.1:0',
      interception: { destinations: ['*:*'], blockedHosts: ['blocked.test'] },
      upstream: { caPaths: [await authority.caFile()] },
    },
    ca: await generateCa({ commonName: 'Client side' }),
  }).start();
});
afterAll(async () => {
  await proxy.shutdown();
  await origin[Symbol.asyncDispose]();
  await authority[Symbol.asyncDispose]();
});

function send(change: Partial<DemoRequest> = {}): Promise<DemoAnswer> {
  return sendThroughProxy({
    proxy: proxy.address,
    ca: proxy.ca.certificatePem,
    authority: origin.authority,
    method: 'PUT',
    path: '/a?b',
    body: 'ünï',
    signal: AbortSignal.timeout(5_000),
    ...change,
  });
}

test('the answer is the origin’s, under a certificate of the proxy', async () => {
  expect(await send()).toEqual({
    status: 200,
    body: 'PUT /a?b ünï',
    tlsVersion: 'TLSv1.3',
    issuer: 'Client side',
  });
});

test.each<readonly [string, () => Partial<DemoRequest>, string]>([
  [
    'a CONNECT that is refused',
    () => ({ authority: 'blocked.test:443' }),
    'the proxy answered CONNECT with 403',
  ],
  ['a certificate of somebody else', () => ({ ca: authority.caPem }), 'certificate'],
  ['a proxy that is not there', () => ({ proxy: { host: '127.0.0.1', port: 1 } }), 'ECONNREFUSED'],
  ['a request that was given up', () => ({ signal: AbortSignal.abort() }), 'aborted'],
])('%s is an error that says so', async (_rule, change, message) => {
  await expect(send(change())).rejects.toThrow(message);
});

test('a proxy that falls silent behind its 200 is given up in time', async () => {
  const stop = new AbortController();
  const silent = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      socket.once('data', () => stop.abort());
    });
  });
  const listening = await listen(silent);
  const attempt = send({ proxy: { host: '127.0.0.1', port: listening.port }, signal: stop.signal });
  await expect(attempt).rejects.toThrow('it took too long');
  await listening[Symbol.asyncDispose]();
});
