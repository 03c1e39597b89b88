// Clients with every fault that TLS can have: those that do not accept the proxy's certificate, as curl, OpenSSL, Python and Node say it
// or do not say it, and those that break off, stall or talk nonsense at each step. The table is the promise.
import { createServer } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';

import type { MitmConfigInput, MitmEvent } from 'soth-mitm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import { connectTunnel, destroyed, hasCommand, tlsOver } from '../lab/clients.ts';
import { type HttpsOrigin, startHttpOrigin, startHttpsOrigin } from '../lab/origins.ts';
import { runProgram } from '../lab/programs.ts';
import { type LabProxy, startProxy } from '../lab/proxy.ts';

type Failed = Extract<MitmEvent, { readonly kind: 'tls_handshake_failed' }>;

const made: { authority?: LabAuthority; origin?: HttpsOrigin } = {};
beforeAll(async () => {
  made.authority = await createLabAuthority();
  made.origin = await startHttpsOrigin({ authority: made.authority });
});
afterAll(async () => {
  await made.origin?.[Symbol.asyncDispose]();
  await made.authority?.[Symbol.asyncDispose]();
});

function origin(): HttpsOrigin {
  if (made.origin === undefined) throw new Error('the origin has not been started');
  return made.origin;
}

function proxyWith(config: Partial<MitmConfigInput> = {}): Promise<LabProxy> {
  if (made.authority === undefined) throw new Error('the authority has not been made');
  return startProxy({ trusts: made.authority, config });
}

const versions = ['1.2', '1.3'] as const;
type Version = (typeof versions)[number];

interface Fault {
  /** The program it needs. */
  readonly command?: string;
  readonly act: (proxy: LabProxy, version: Version) => Promise<unknown>;
  readonly config?: Partial<MitmConfigInput>;
  readonly told: (version: Version) => Partial<Failed>;
}

const refusedBy = (number: number): Partial<Failed> => ({
  tlsFailureReason: number === 48 ? 'unknown_ca' : 'cert_validation',
  tlsFailureCause: 'own_certificate_refused',
  tlsAlert: number,
  phase: 'handshake',
  sourceConfidence: 'authoritative',
  tlsLearningDecision: 'applied',
});
/** A client that finished its handshake and left: what that means is concluded, so it teaches nothing. */
const leftUnused: Partial<Failed> = {
  tlsFailureReason: 'eof_or_reset',
  tlsFailureCause: 'closed_unused',
  phase: 'post_handshake',
  sourceConfidence: 'inferred',
  tlsLearningDecision: 'ignored',
  tlsLearningReasonCode: 'inferred_signal',
};
const gone: Partial<Failed> = {
  tlsFailureReason: 'eof_or_reset',
  tlsFailureCause: 'peer_gone',
  phase: 'handshake',
};
const refused = (cause: Failed['tlsFailureCause']): Partial<Failed> => ({
  tlsFailureReason: 'handshake',
  tlsFailureCause: cause,
  phase: 'handshake',
});

const throughProxy = ({ port }: LabProxy): string[] => ['--proxy', `http://127.0.0.1:${port}`];
const url = (): string => `https://${origin().authority}/`;

function curl(proxy: LabProxy, version: Version, args: readonly string[]): Promise<unknown> {
  const limits = ['--tlsv1.2', '--tls-max', version];
  return runProgram('curl', ['-q', '-sS', ...throughProxy(proxy), ...limits, ...args, url()]);
}

function sClient({ port }: LabProxy, args: readonly string[]): Promise<unknown> {
  const way = ['-proxy', `127.0.0.1:${port}`, '-connect', origin().authority, '-servername', 'localhost'];
  return runProgram('openssl', ['s_client', ...way, ...args]);
}

const python = `import socket, ssl, sys
host, port = sys.argv[2].split(':')
raw = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
raw.sendall(f'CONNECT {host}:{port} HTTP/1.1\\r\\n\\r\\n'.encode())
raw.recv(4096)
context = ssl.create_default_context()
context.maximum_version = ssl.TLSVersion.TLSv1_2 if sys.argv[3] == '1.2' else ssl.TLSVersion.TLSv1_3
context.wrap_socket(raw, server_hostname=host)
`;

/** TLS by this Node over a tunnel, to whatever end it comes. */
async function nodeClient(proxy: LabProxy, version: Version, options: ConnectionOptions = {}): Promise<void> {
  await using tunnel = await connectTunnel(proxy.port, origin().authority);
  const limits = { minVersion: `TLSv${version}`, maxVersion: `TLSv${version}` } as const;
  const secure = connectTls({ socket: tunnel.socket, servername: 'localhost', ...limits, ...options });
  await new Promise<void>((resolve) => {
    secure.on('error', () => {});
    secure.once('close', () => resolve());
    secure.once('secureConnect', () => secure.end());
  });
}

/** The hello of this Node. */
async function helloBytes(version: Version): Promise<Buffer> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const heard = new Promise<Buffer>((resolve) => {
    server.once('connection', (socket) =>
      socket.once('data', (bytes) => {
        resolve(bytes);
        socket.destroy();
      }),
    );
  });
  const limits = { minVersion: `TLSv${version}`, maxVersion: `TLSv${version}` } as const;
  const client = connectTls({ host: '127.0.0.1', port, servername: 'localhost', ...limits });
  client.on('error', () => {});
  const bytes = await heard;
  server.close();
  return bytes;
}

/** Sends a part of a hello, or all of it, and more bytes once the proxy has answered it; then ends in this way. */
function raw(
  part: (hello: Buffer) => Buffer,
  ending: 'fin' | 'reset' | 'stay',
  afterAnswer?: Buffer,
): Fault['act'] {
  return async (proxy, version) => {
    await using tunnel = await connectTunnel(proxy.port, origin().authority);
    const { socket } = tunnel;
    socket.on('error', () => {});
    const closed = new Promise<void>((resolve) => {
      socket.once('close', () => resolve());
    });
    const answered = new Promise<void>((resolve) => {
      socket.once('data', () => resolve());
    });
    socket.resume();
    const bytes = part(await helloBytes(version));
    if (bytes.length > 0) socket.write(bytes);
    if (afterAnswer !== undefined) {
      await answered;
      socket.write(afterAnswer);
    }
    if (ending === 'fin') socket.end();
    if (ending === 'reset') setTimeout(() => socket.resetAndDestroy(), 30);
    await closed;
  };
}

const whole = (hello: Buffer): Buffer => hello;
const half = (hello: Buffer): Buffer => hello.subarray(0, 60);
const nothing = Buffer.alloc(0);
const alertOf = (number: number): Buffer => Buffer.from([21, 3, 3, 0, 2, 2, number]);
const soon = { timeouts: { handshakeMs: 300 } } as const;

const faults: Readonly<Record<string, Fault>> = {
  'curl without the CA': {
    command: 'curl',
    act: (proxy, version) => curl(proxy, version, []),
    told: () => refusedBy(48),
  },
  'curl with a pinned key': {
    command: 'curl',
    act: (proxy, version) =>
      curl(proxy, version, ['--cacert', proxy.caFile, '--pinnedpubkey', `sha256//${'A'.repeat(43)}=`]),
    told: () => leftUnused,
  },
  'OpenSSL without the CA': {
    command: 'openssl',
    act: (proxy, version) => sClient(proxy, ['-verify_return_error', `-tls${version.replace('.', '_')}`]),
    told: () => refusedBy(48),
  },
  'Python without the CA': {
    command: 'python3',
    act: (proxy, version) =>
      runProgram('python3', ['-c', python, String(proxy.port), origin().authority, version]),
    told: () => refusedBy(48),
  },
  'Node without the CA, which sends no alert': {
    act: (proxy, version) => nodeClient(proxy, version),
    told: (version) => (version === '1.2' ? leftUnused : gone),
  },
  'a client that wants to see another name': {
    act: (proxy, version) =>
      nodeClient(proxy, version, {
        ca: proxy.ca.certificatePem,
        checkServerIdentity: () => new Error('this is not whom I know'),
      }),
    told: (version) => (version === '1.2' ? leftUnused : gone),
  },
  'a client that is done before it began': {
    act: (proxy, version) => nodeClient(proxy, version, { ca: proxy.ca.certificatePem }),
    told: () => leftUnused,
  },
  'a client with no version in common': {
    command: 'openssl',
    act: (proxy) => sClient(proxy, ['-tls1_1', '-cipher', 'DEFAULT@SECLEVEL=0']),
    told: () => refused('no_common_version'),
  },
  'a client with no cipher suite in common': {
    command: 'openssl',
    act: (proxy, version) =>
      sClient(
        proxy,
        version === '1.2'
          ? ['-tls1_2', '-cipher', 'ECDHE-ECDSA-CAMELLIA128-SHA256']
          : ['-tls1_3', '-ciphersuites', 'TLS_AES_128_CCM_SHA256'],
      ),
    told: () => refused('no_common_cipher'),
  },
  'a client with no protocol in common': {
    act: (proxy, version) =>
      nodeClient(proxy, version, { ca: proxy.ca.certificatePem, ALPNProtocols: ['http/0.9'] }),
    told: () => refused('no_common_protocol'),
  },
  'the end within the hello': { act: raw(half, 'fin'), told: () => gone },
  'a reset within the hello': { act: raw(half, 'reset'), told: () => gone },
  'silence within the hello': {
    act: raw(half, 'stay'),
    config: soon,
    told: () => ({ tlsFailureReason: 'timeout', tlsFailureCause: 'silent' }),
  },
  'the end after the hello': { act: raw(whole, 'fin'), told: () => gone },
  'a reset after our answer to the hello': { act: raw(whole, 'reset', nothing), told: () => gone },
  'the end after our answer to the hello': { act: raw(whole, 'fin', nothing), told: () => gone },
  'silence after our answer to the hello': {
    act: raw(whole, 'stay', nothing),
    config: soon,
    told: () => ({ tlsFailureReason: 'timeout', tlsFailureCause: 'silent' }),
  },
  'a hello that cannot be read': {
    act: raw((hello) => Buffer.concat([hello.subarray(0, 9), Buffer.alloc(hello.length - 9, 0xff)]), 'stay'),
    told: () => refused('unreadable'),
  },
  'a hello in the form of SSLv2': {
    act: raw(
      () =>
        Buffer.from(
          '802e0100020015000000100100800700c0030080060040020080040080000000000000000000000000000000000000000000',
          'hex',
        ),
      'stay',
    ),
    told: () => refused('unreadable'),
  },
  'garbage after our answer to the hello': {
    act: raw(whole, 'stay', Buffer.from('GET / HTTP/1.1\r\n\r\n')),
    told: () => ({ tlsFailureReason: 'handshake' }),
  },
  ...Object.fromEntries(
    [42, 43, 44, 45, 46, 48].map((number): [string, Fault] => [
      `alert ${number} after our answer to the hello`,
      { act: raw(whole, 'stay', alertOf(number)), told: () => refusedBy(number) },
    ]),
  ),
  // OpenSSL does not know this alert and does not tell of it.
  'alert 121, ech_required, after our answer to the hello': {
    act: raw(whole, 'fin', alertOf(121)),
    told: () => gone,
  },
};

const rows = Object.entries(faults).flatMap(([name, fault]) =>
  versions.map((version) => ({ name, version, fault })),
);
const programs = new Map<string, boolean>();
for (const command of ['curl', 'openssl', 'python3']) programs.set(command, await hasCommand(command));

describe('a failure is told of', () => {
  for (const { name, version, fault } of rows) {
    test.skipIf(fault.command !== undefined && programs.get(fault.command) !== true)(
      `${name}, TLS ${version}`,
      async () => {
        await using proxy = await proxyWith(fault.config);
        await fault.act(proxy, version);
        const failed = await proxy.events.waitFor('tls_handshake_failed', 5_000);
        expect(failed).toMatchObject({
          peer: 'downstream',
          tlsFailureSource: 'downstream',
          ...fault.told(version),
        });
        expect(failed).toMatchObject({
          revocationDecision: 'not_applicable',
          upstreamOcspStaplePresent: 'not_applicable',
        });
        await proxy.finish();
      },
    );
  }
});

test('a record that cannot be decrypted after the handshake ends the connection, and is told', async () => {
  await using proxy = await proxyWith();
  await using tunnel = await connectTunnel(proxy.port, origin().authority);
  const secure = await tlsOver(tunnel.socket, { servername: 'localhost', ca: proxy.ca.certificatePem });
  secure.on('error', () => {});
  const closed = new Promise<void>((resolve) => {
    tunnel.socket.once('close', () => resolve());
  });
  secure.write(`GET / HTTP/1.1\r\nHost: ${origin().authority}\r\n\r\n`);
  await new Promise((resolve) => secure.once('data', resolve));
  tunnel.socket.write(Buffer.concat([Buffer.from([23, 3, 3, 0, 32]), Buffer.alloc(32)]));
  expect(await proxy.events.waitFor('tls_handshake_failed', 5_000)).toMatchObject({
    peer: 'downstream',
    phase: 'post_handshake',
    tlsFailureReason: 'handshake',
  });
  await closed;
  await proxy.finish();
});

test('a client that connects for later and stays for a while is not a failure', async () => {
  await using proxy = await proxyWith();
  await using tunnel = await connectTunnel(proxy.port, origin().authority);
  const secure = await tlsOver(tunnel.socket, { servername: 'localhost', ca: proxy.ca.certificatePem });
  await new Promise((resolve) => setTimeout(resolve, 2_100));
  secure.end();
  await proxy.events.waitFor('stream_closed', 5_000);
  await proxy.finish();
  expect(proxy.events.events().filter(({ kind }) => kind === 'tls_handshake_failed')).toEqual([]);
});

test('plain HTTP where TLS was expected is no failure: it is served as it is', async () => {
  await using plain = await startHttpOrigin();
  await using proxy = await proxyWith();
  await using tunnel = await connectTunnel(proxy.port, plain.authority);
  tunnel.socket.write(`GET / HTTP/1.1\r\nHost: ${plain.authority}\r\n\r\n`);
  const answer = await new Promise((resolve) => {
    tunnel.socket.once('data', (bytes: Buffer) => resolve(bytes.toString('latin1', 0, 15)));
    tunnel.socket.resume();
  });
  expect(answer).toBe('HTTP/1.1 200 OK');
  await destroyed(tunnel.socket);
  await proxy.finish();
  expect(proxy.events.events().filter(({ kind }) => kind === 'tls_handshake_failed')).toEqual([]);
});
