// The clients, tried against a minimal CONNECT proxy of the lab's own, so that they are right before the real one is judged.
import { connect } from 'node:net';

import { expect, test } from 'vitest';

import { createLabAuthority } from './certificates.ts';
import {
  connectTunnel,
  curl,
  destroyed,
  dialLoopback,
  hasCommand,
  httpsThroughProxy,
  httpThroughProxy,
  rawExchange,
  tlsOver,
  TunnelRefusedError,
} from './clients.ts';
import {
  type RawOrigin,
  startHttpOrigin,
  startHttpsOrigin,
  startRawOrigin,
  startTcpEcho,
} from './origins.ts';
import { expectNothingLeft, openHandles } from './resources.ts';

const hasCurl = await hasCommand('curl');

/** Tunnels every CONNECT to the port it names, on loopback; refuses port 1 with a 403. */
async function startTunnelProxy(): Promise<RawOrigin> {
  return await startRawOrigin({
    onConnection: async (client, _index, log) => {
      await log.until('\r\n\r\n');
      const received = log.release();
      const headEnd = received.indexOf('\r\n\r\n') + 4;
      const port = Number(/^CONNECT \S+:(\d+) /.exec(received.toString('latin1'))?.[1]);
      if (port === 1) {
        client.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n');
        return;
      }
      const upstream = connect({ host: '127.0.0.1', port });
      upstream.on('error', () => client.destroy());
      client.on('error', () => upstream.destroy());
      client.on('close', () => upstream.destroy());
      upstream.write(received.subarray(headEnd));
      client.write('HTTP/1.1 200 Connection Established\r\nX-Via: lab\r\n\r\n');
      client.pipe(upstream).pipe(client);
    },
  });
}

test('a tunnel tells the answer as it came, sends early bytes, and gives the socket', async () => {
  const before = openHandles();
  {
    await using proxy = await startTunnelProxy();
    await using echo = await startTcpEcho();
    await using tunnel = await connectTunnel(proxy.port, echo.authority, {
      headers: ['X-Test', 'yes'],
      early: Buffer.from('early '),
    });
    expect(tunnel.statusLine).toBe('HTTP/1.1 200 Connection Established');
    expect(tunnel.status).toBe(200);
    expect(tunnel.headText).toBe('HTTP/1.1 200 Connection Established\r\nX-Via: lab\r\n\r\n');
    const echoed = await rawExchange(tunnel.socket, 'late', { until: 'late' });
    expect(Buffer.concat([tunnel.rest, echoed]).toString()).toBe('early late');
    expect(echo.connectionCount).toBe(1);
  }
  await expectNothingLeft(before);
});

test('an HTTPS exchange through a tunnel gives the whole answer and the certificate', async () => {
  const before = openHandles();
  {
    await using authority = await createLabAuthority();
    await using proxy = await startTunnelProxy();
    await using origin = await startHttpsOrigin({
      authority,
      handler: async (seen, response) => {
        response.writeHead(201, 'Made', ['X-Method', seen.method, 'Trailer', 'X-End']);
        response.addTrailers([['X-End', 'yes']]);
        response.end(await seen.finished);
      },
    });
    const answer = await httpsThroughProxy({
      proxyPort: proxy.port,
      url: `${origin.url}/path?query`,
      ca: authority.caPem,
      method: 'PUT',
      headers: ['X-Mixed-Case', 'kept'],
      body: 'payload',
    });
    expect(answer).toMatchObject({ status: 201, reason: 'Made', rawTrailers: ['X-End', 'yes'] });
    expect(answer.rawHeaders.slice(0, 2)).toEqual(['X-Method', 'PUT']);
    expect(answer.body.toString()).toBe('payload');
    expect(answer.peerCertificate.subject.CN).toBe('localhost');
    expect(answer.peerCertificate.issuerCertificate.subject.CN).toBe('Lab origin authority');
    expect(origin.requests[0]?.rawHeaders).toEqual([
      'Host',
      origin.authority,
      'X-Mixed-Case',
      'kept',
      'Content-Length',
      '7',
    ]);
  }
  await expectNothingLeft(before);
});

test('an untrusted origin and a refused tunnel are errors, not answers', async () => {
  await using authority = await createLabAuthority();
  await using stranger = await createLabAuthority('Stranger');
  await using proxy = await startTunnelProxy();
  await using origin = await startHttpsOrigin({ authority });
  const untrusting = httpsThroughProxy({ proxyPort: proxy.port, url: origin.url, ca: stranger.caPem });
  await expect(untrusting).rejects.toMatchObject({ code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
  const refused = httpsThroughProxy({
    proxyPort: proxy.port,
    url: 'https://localhost:1/',
    ca: authority.caPem,
  });
  await expect(refused).rejects.toBeInstanceOf(TunnelRefusedError);
  await expect(refused).rejects.toThrow('403 Forbidden');
});

test('a TLS handshake that is never answered ends at its deadline', async () => {
  await using authority = await createLabAuthority();
  await using silent = await startRawOrigin();
  const socket = await dialLoopback(silent.port);
  const handshake = tlsOver(socket, { servername: 'localhost', ca: authority.caPem, deadlineMs: 30 });
  await expect(handshake).rejects.toThrow('the TLS handshake did not happen within 30 ms');
  await destroyed(socket);
});

test('a plaintext exchange asks in absolute form', async () => {
  await using origin = await startHttpOrigin();
  const answer = await httpThroughProxy({ proxyPort: origin.port, url: 'http://api.example.test/x' });
  expect(answer.body.toString()).toBe('ok');
  expect(origin.requests[0]?.url).toBe('http://api.example.test/x');
  expect(origin.requests[0]?.rawHeaders).toEqual(['Host', 'api.example.test']);
});

test('hasCommand finds what is on the PATH and nothing else', async () => {
  expect(await hasCommand('no-such-program-in-this-lab')).toBe(false);
});

test.skipIf(!hasCurl)(
  'curl (needs curl on the PATH) goes through the tunnel and reports its end',
  async () => {
    await using authority = await createLabAuthority();
    await using proxy = await startTunnelProxy();
    await using origin = await startHttpsOrigin({ authority });
    const proxied = ['-sS', '-x', `http://127.0.0.1:${proxy.port}`, '--cacert', await authority.caFile()];
    expect(await curl([...proxied, origin.url])).toEqual({ code: 0, stdout: Buffer.from('ok'), stderr: '' });
    expect(await curl([...proxied, 'https://localhost:1/'])).toMatchObject({ code: 56 });
  },
);

test.skipIf(!hasCurl)('curl (needs curl on the PATH) is killed at the deadline', async () => {
  const before = openHandles();
  {
    await using silent = await startRawOrigin();
    const hanging = curl(['-sS', `http://127.0.0.1:${silent.port}/`], { timeoutMs: 200 });
    await expect(hanging).rejects.toThrow("curl's end () did not happen within 200 ms");
  }
  await expectNothingLeft(before);
});
