// The rules at the edges of TLS: the server name and the target, renegotiation, encrypted hellos, addresses, and an origin that judges
// a client certificate late over HTTP/2.
import type { MitmConfigInput, MitmEvent } from 'soth-mitm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import { connectTunnel, destroyed, tlsOver } from '../lab/clients.ts';
import { askHttp2, http2ThroughProxy } from '../lab/http2-peers.ts';
import { hasOpenssl, openOpensslLab } from '../lab/openssl-authority.ts';
import { startOpensslServer } from '../lab/openssl-server.ts';
import { type HttpsOrigin, startHttpsOrigin } from '../lab/origins.ts';
import { runProgram } from '../lab/programs.ts';
import { type LabProxy, startProxy } from '../lab/proxy.ts';

const made: { authority?: LabAuthority; origin?: HttpsOrigin } = {};
beforeAll(async () => {
  made.authority = await createLabAuthority();
  made.origin = await startHttpsOrigin({
    authority: made.authority,
    names: ['localhost', '127.0.0.1', 'other.test'],
  });
});
afterAll(async () => {
  await made.origin?.[Symbol.asyncDispose]();
  await made.authority?.[Symbol.asyncDispose]();
});

function origin(): HttpsOrigin {
  if (made.origin === undefined) throw new Error('the origin has not been started');
  return made.origin;
}

function proxyWith(upstream: MitmConfigInput['upstream'] = {}): Promise<LabProxy> {
  if (made.authority === undefined) throw new Error('the authority has not been made');
  return startProxy({ trusts: made.authority, config: { upstream } });
}

interface Seen {
  /** The status line of the answer. */
  readonly answer: string;
  /** The names in the certificate that the client was shown. */
  readonly names: string;
  readonly started: readonly MitmEvent[];
}

/** One request in TLS with this server name, or none, to this host of the origin. */
async function asked(
  host: string,
  servername: string,
  upstream: MitmConfigInput['upstream'] = {},
): Promise<Seen> {
  await using proxy = await proxyWith(upstream);
  await using tunnel = await connectTunnel(proxy.port, `${host}:${origin().port}`);
  const secure = await tlsOver(tunnel.socket, {
    servername,
    ca: proxy.ca.certificatePem,
  });
  const names = secure.getPeerCertificate().subjectaltname ?? '';
  secure.write(`GET / HTTP/1.1\r\nHost: ${host}:${origin().port}\r\n\r\n`);
  const answer = await new Promise<string>((resolve) => {
    secure.once('data', (bytes: Buffer) => resolve(bytes.toString('latin1').split('\r\n')[0] ?? ''));
  });
  await destroyed(secure);
  await proxy.finish();
  const started = proxy.events.events().filter(({ kind }) => kind === 'tls_handshake_started');
  return { answer, names, started };
}

describe('the server name of a hello', () => {
  test('that is the target', async () => {
    const { answer, names, started } = await asked('localhost', 'localhost');
    expect(answer).toBe('HTTP/1.1 200 OK');
    expect(names).toBe('DNS:localhost');
    expect(started).toMatchObject([
      { peer: 'upstream', sni: 'localhost' },
      { peer: 'downstream', sni: 'localhost', sniRelation: 'match' },
    ]);
  });

  test('that names an address: the certificate is for both, the origin is asked for the name', async () => {
    const { answer, names, started } = await asked('127.0.0.1', 'localhost');
    expect(answer).toBe('HTTP/1.1 200 OK');
    expect(names).toBe('DNS:localhost, IP Address:127.0.0.1');
    expect(started).toMatchObject([
      { peer: 'upstream', sni: 'localhost' },
      { peer: 'downstream', sniRelation: 'names_address' },
    ]);
  });

  test('that is another one: the certificate is for both, and the origin must prove the one that was asked for', async () => {
    const { answer, names, started } = await asked('localhost', 'other.test');
    expect(answer).toBe('HTTP/1.1 200 OK');
    expect(names).toBe('DNS:other.test, DNS:localhost');
    expect(started).toMatchObject([
      { peer: 'upstream', sni: 'other.test' },
      { peer: 'downstream', sniRelation: 'mismatch' },
    ]);
    expect((await asked('localhost', 'stranger.test')).answer).toBe('HTTP/1.1 502 Bad Gateway');
  });

  test('is not sent on where that is switched off, and is verified all the same', async () => {
    const { answer, started } = await asked('localhost', 'localhost', { sniMode: 'disabled' });
    expect(answer).toBe('HTTP/1.1 200 OK');
    expect(started[0]).not.toHaveProperty('sni');
    expect((await asked('localhost', 'stranger.test', { sniMode: 'disabled' })).answer).toBe(
      'HTTP/1.1 502 Bad Gateway',
    );
  });
});

test.skipIf(!hasOpenssl)('no server name at all, for a host name', async () => {
  await using proxy = await proxyWith();
  const way = ['-proxy', `127.0.0.1:${proxy.port}`, '-connect', origin().authority, '-noservername'];
  const request = Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  const args = ['s_client', ...way, '-CAfile', proxy.caFile, '-verify_return_error', '-quiet'];
  const { stdout } = await runProgram('openssl', args, { input: request });
  expect(stdout.toString()).toContain('HTTP/1.1 200 OK');
  await proxy.finish();
  const started = proxy.events.events().filter(({ kind }) => kind === 'tls_handshake_started');
  expect(started).toMatchObject([
    { peer: 'upstream', sni: 'localhost' },
    { peer: 'downstream', sniRelation: 'absent' },
  ]);
});

test.skipIf(!hasOpenssl)(
  'where a server name is required, an address is explained and not asked',
  async () => {
    await using proxy = await proxyWith({ sniMode: 'required' });
    const way = [
      '-proxy',
      `127.0.0.1:${proxy.port}`,
      '-connect',
      `127.0.0.1:${origin().port}`,
      '-noservername',
    ];
    const args = ['s_client', ...way, '-CAfile', proxy.caFile, '-verify_return_error', '-quiet'];
    const request = Buffer.from('GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n');
    const { stdout } = await runProgram('openssl', args, { input: request });
    expect(stdout.toString()).toMatch(/^HTTP\/1\.1 502 /);
    await proxy.finish();
    const [failed] = proxy.events.events().filter(({ kind }) => kind === 'tls_handshake_failed');
    expect(failed).toMatchObject({
      peer: 'upstream',
      tlsFailureReason: 'other',
      tlsFailureCause: 'own_settings',
    });
  },
);

test.skipIf(!hasOpenssl)('a client that renegotiates is refused', async () => {
  await using proxy = await proxyWith();
  const way = [
    '-proxy',
    `127.0.0.1:${proxy.port}`,
    '-connect',
    origin().authority,
    '-servername',
    'localhost',
  ];
  const { stdout, stderr } = await runProgram(
    'openssl',
    ['s_client', ...way, '-tls1_2', '-CAfile', proxy.caFile],
    {
      input: Buffer.from('R\n'),
    },
  );
  expect(`${stdout.toString()}${stderr}`).toMatch(/RENEGOTIATING[\s\S]*no renegotiation/i);
  await proxy.finish();
});

test.skipIf(!hasOpenssl)(
  'an origin that wants a client certificate says so late, also to clients of HTTP/2',
  async () => {
    await using lab = await openOpensslLab();
    const root = await lab.root('root');
    const demands = ['-Verify', '1', '-verify_return_error', '-tls1_3', '-alpn', 'h2'];
    await using server = await startOpensslServer(await root.issue(), demands);
    await using proxy = await startProxy({ config: { upstream: { caPaths: [root.certificate.certFile] } } });
    await using client = await http2ThroughProxy({ ...proxy.forClients, authority: server.authority });
    const answer = await askHttp2(client, { ':path': '/' });
    expect(answer.headers[':status']).toBe(502);
    expect(answer.body.toString()).toContain('it asks for a client certificate');
    const failed = await proxy.events.waitFor('tls_handshake_failed', 5_000);
    expect(failed).toMatchObject({
      phase: 'post_handshake',
      tlsAlert: 116,
      tlsFailureCause: 'client_certificate_required',
    });
  },
);
