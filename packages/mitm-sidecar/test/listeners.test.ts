// All places where clients arrive: opened together or not at all, each with its own way in, and gone when closed.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { lstat } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';

import { type MitmConfigInput, parseConfig, type SocketFamily } from 'mitm-core';
import { CertStore, generateCa } from 'mitm-tls';
import { describe, expect, test } from 'vitest';

import { destroyed, dialLoopback, hasCommand } from '../../../testing/lab/clients.ts';
import { startHttpOrigin, startTcpEcho } from '../../../testing/lab/origins.ts';
import { expectNothingLeft, openHandles } from '../../../testing/lab/resources.ts';
import { temporaryDirectory } from '../../../testing/lab/temporary.ts';
import type { WayIn } from '../src/arrival/way-in.ts';
import { Listeners } from '../src/listeners.ts';
import { clientOver, openClient, reasonsOf, startProxy } from './proxy-lab.ts';

const certificates = await CertStore.create(await generateCa());

interface Arrived {
  readonly family: SocketFamily;
  readonly wayIn: WayIn;
}

async function open(fields: Partial<MitmConfigInput>, arrived: Arrived[] = []): Promise<Listeners> {
  return await Listeners.open({
    config: parseConfig({ bind: '127.0.0.1:0', interception: { destinations: ['*:*'] }, ...fields }),
    certificates,
    onSocket: (socket: Socket, family, wayIn) => {
      arrived.push({ family, wayIn });
      socket.destroy();
    },
    onError: (error) => {
      throw error;
    },
  });
}

test('are where the configuration says, in its order, and each connection brings its way in', async () => {
  await using folder = await temporaryDirectory();
  const before = openHandles();
  const arrived: Arrived[] = [];
  const path = folder.resolve('proxy.sock');
  const listeners = await open(
    {
      bind: '[::]:0',
      unixSocketPath: path,
      listeners: [
        { bind: '127.0.0.1:0', kind: 'socks5', requiresAuthentication: false },
        { bind: '127.0.0.1:0', kind: 'direct', targetPort: 8_443 },
      ],
    },
    arrived,
  );
  expect(listeners.addresses).toMatchObject([
    { kind: 'tcp', host: '::' },
    { kind: 'unix', path },
    { kind: 'tcp', host: '127.0.0.1' },
    { kind: 'tcp', host: '127.0.0.1' },
  ]);
  expect((await lstat(path)).mode & 0o777).toBe(0o600);
  for (const address of listeners.addresses) {
    const client =
      address.kind === 'unix' ? connect(address.path) : await dialLoopback(address.port, '127.0.0.1');
    client.on('error', () => {});
    await once(client, 'close');
  }
  expect(arrived).toMatchObject([
    // A client of a dual-stack listener is what it is, and not its IPv6 disguise.
    { family: { kind: 'tcp_v4', remote: { address: '127.0.0.1' } }, wayIn: { kind: 'proxy' } },
    { family: { kind: 'unix_domain', path }, wayIn: { kind: 'proxy', requiresAuthentication: true } },
    { family: { kind: 'tcp_v4' }, wayIn: { kind: 'socks5', requiresAuthentication: false } },
    { family: { kind: 'tcp_v4' }, wayIn: { kind: 'direct', targetPort: 8_443 } },
  ]);
  await listeners.close();
  await expect(lstat(path)).rejects.toMatchObject({ code: 'ENOENT' });
  await expectNothingLeft(before);
});

test('are opened all or not at all', async () => {
  await using folder = await temporaryDirectory();
  const before = openHandles();
  const path = folder.resolve('proxy.sock');
  const tls = { certPath: '/nowhere/cert.pem', keyPath: '/nowhere/key.pem' };
  const opening = open({ unixSocketPath: path, listeners: [{ bind: '127.0.0.1:0', tls }] });
  await expect(opening).rejects.toMatchObject({ code: 'ERR_MITM_LISTEN_FAILED' });
  await expect(lstat(path)).rejects.toMatchObject({ code: 'ENOENT' });
  await expectNothingLeft(before);
});

test('those that others can reach without a name are known', async () => {
  const users = [{ username: 'ada', password: 'one' }];
  const listeners = [
    { bind: '127.0.0.1:0', kind: 'socks5' },
    { bind: '0.0.0.0:0', kind: 'socks5' },
    { bind: '0.0.0.0:0', kind: 'direct', requiresAuthentication: false },
  ] as const;
  const openOnes = async (fields: Partial<MitmConfigInput>): Promise<number> => {
    const config = { bind: '[::]:0', listeners, ...fields };
    const opened = await open(config);
    const complete = parseConfig({ interception: { destinations: ['*:*'] }, ...config });
    const { length } = opened.openToAll(complete);
    await opened.close();
    return length;
  };
  expect(await openOnes({})).toBe(3);
  expect(await openOnes({ proxyAuthentication: { users } })).toBe(1);
  expect(await openOnes({ bind: '127.0.0.1:0', listeners: [] })).toBe(0);
});

test('a place that is about to be free is waited for', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const address = taken.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const opening = open({ bind: `127.0.0.1:${port}`, acceptRetryBackoffMs: 20 });
  await new Promise((resolve) => setTimeout(resolve, 30));
  taken.close();
  const listeners = await opening;
  expect(listeners.addresses).toEqual([{ kind: 'tcp', host: '127.0.0.1', port }]);
  await listeners.close();
});

test('one proxy can not take the Unix socket of another', async () => {
  await using folder = await temporaryDirectory();
  const unixSocketPath = folder.resolve('proxy.sock');
  const first = await open({ unixSocketPath });
  await expect(open({ unixSocketPath })).rejects.toThrow('another program listens there');
  await first.close();
  const second = await open({ unixSocketPath });
  await second.close();
});

describe('a Unix socket', () => {
  test('serves all that a port serves', async () => {
    await using folder = await temporaryDirectory();
    const path = folder.resolve('proxy.sock');
    await using plain = await startHttpOrigin();
    await using echo = await startTcpEcho();
    await using proxy = await startProxy({ config: { bind: 'none', unixSocketPath: path } });
    expect(proxy.server.address).toEqual({ host: path, port: 0 });
    for (const [sent, until] of [
      [`GET ${plain.url}/ HTTP/1.1\r\nHost: o\r\n\r\n`, 'ok'],
      [`CONNECT ${echo.authority} HTTP/1.1\r\n\r\n\0hello`, '\0hello'],
    ] as const) {
      await using client = clientOver(connect(path));
      client.send(sent);
      expect(await client.receive(until)).toMatch(/^HTTP\/1\.1 200 /);
      client.stream.end();
      await client.log.ended();
    }
    const events = await proxy.settled();
    expect(new Set(events.map(({ context }) => context.clientAddr))).toEqual(new Set([`unix:${path}`]));
  });
});

const handOver = `
import os, socket, sys
listener = socket.socket()
listener.bind(('127.0.0.1', 0))
listener.listen()
if listener.fileno() != 3:
    os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ['LISTEN_FDS'] = '1'
os.environ['LISTEN_PID'] = str(os.getpid())
print(listener.getsockname()[1], flush=True)
os.execvp(sys.argv[1], sys.argv[1:])
`;

const served = `
import { Engine, parseConfig } from 'mitm-core';
import { EventBus, Metrics, silentLogger } from 'mitm-observe';
import { ProxyServer } from 'mitm-sidecar';
import { CertStore, generateCa } from 'mitm-tls';
const metrics = new Metrics();
const config = parseConfig({ bind: 'none', listeners: [{ fd: 3 }], interception: { destinations: ['*:*'] } });
const bus = new EventBus({ metrics });
const engine = new Engine({ config, handler: {}, bus, metrics, logger: silentLogger });
const server = new ProxyServer({ engine, certificates: await CertStore.create(await generateCa()) });
console.log(JSON.stringify(await server.listen()));
process.stdin.once('end', () => server.close(1_000)).resume();
`;

const canHandOver = process.platform === 'linux' && (await hasCommand('python3'));

test.skipIf(!canHandOver)(
  'a socket that was opened for this process, as systemd does it',
  async () => {
    await using origin = await startHttpOrigin();
    const node = [process.execPath, '--conditions=@soth/source', '--input-type=module', '-e', served];
    const child = spawn('python3', ['-c', handOver, ...node], {
      cwd: new URL('..', import.meta.url),
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    try {
      let told = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        told += text;
      });
      await expect.poll(() => told, { timeout: 15_000 }).toContain('}');
      const [port = ''] = told.split('\n');
      expect(told).toContain(`{"host":"127.0.0.1","port":${port}}`);
      await using client = await openClient(Number(port));
      client.send(`GET ${origin.url}/ HTTP/1.1\r\nHost: o\r\n\r\n`);
      expect(await client.receive('ok')).toMatch(/^HTTP\/1\.1 200 /);
      await destroyed(client.stream);
      child.stdin.end();
      await once(child, 'close');
      expect(child.exitCode).toBe(0);
    } finally {
      child.kill('SIGKILL');
    }
  },
  20_000,
);

test('above its capacity the proxy says so to those who can read it, and hangs up on others', async () => {
  await using proxy = await startProxy({
    config: { maxConcurrentFlows: 1, listeners: [{ bind: '127.0.0.1:0', kind: 'socks5' }] },
  });
  const [, socks] = proxy.server.addresses;
  const socksPort = socks?.kind === 'tcp' ? socks.port : 0;
  await using first = await openClient(proxy.port);
  await expect.poll(() => proxy.server.connectionCount).toBe(1);
  await using second = await openClient(proxy.port);
  expect(await second.rest()).toMatch(/^HTTP\/1\.1 503 /);
  await using third = await openClient(socksPort);
  expect(await third.rest()).toBe('');
  first.stream.end();
  for (const { stream } of [second, third]) stream.end();
  expect(reasonsOf(await proxy.settled())).toEqual(['capacity_denied', 'capacity_denied', 'client_aborted']);
});
