// Programs that know nothing of this project, each by a way in that it has: with names and passwords, over Unix sockets, through an
// `https://` proxy address, by SOCKS5, and behind a load balancer.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';

import type { ConnectionMeta, InterceptHandler } from 'soth-mitm';
import { ProxyAgent, request as undiciRequest, WebSocket } from 'undici';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import { curl, hasCommand } from '../lab/clients.ts';
import { startHttp2Origin } from '../lab/http2-peers.ts';
import { startHttpOrigin, startHttpsOrigin, startTcpEcho } from '../lab/origins.ts';
import { runProgram } from '../lab/programs.ts';
import { type LabProxy, startProxy } from '../lab/proxy.ts';
import { temporaryDirectory } from '../lab/temporary.ts';
import { type OpenWays, openWays, portOf, socketPathOf, waysIn } from '../lab/ways-in.ts';
import { startWebSocketOrigin } from '../lab/websocket-peers.ts';

let authority: LabAuthority;
let ways: OpenWays;
beforeAll(async () => {
  authority = await createLabAuthority();
  ways = await openWays();
});
afterAll(async () => {
  await ways[Symbol.asyncDispose]();
  await authority[Symbol.asyncDispose]();
});

const ada = 'ada:count:ess';
const proxyAuthentication = { users: [{ username: 'ada', password: 'count:ess' }] };

async function startOpen(fields: object = {}, handler: InterceptHandler = {}): Promise<LabProxy> {
  return await startProxy({ trusts: authority, handler, config: { ...ways.config, ...fields } });
}

const hasCurl = await hasCommand('curl');
const hasNetcat = await hasCommand('nc');
const hasSocat = await hasCommand('socat');
const hasHaproxy = await hasCommand('haproxy');

describe.skipIf(!hasCurl)('users', () => {
  const asked = waysIn.filter(({ isDirect }) => !isDirect);

  describe.each(asked)('by $name', (way) => {
    test.each(['http', 'https'])('only those of the proxy reach an origin (%s)', async (scheme) => {
      await using origin =
        scheme === 'http' ? await startHttpOrigin() : await startHttpsOrigin({ authority });
      const users: unknown[] = [];
      await using proxy = await startOpen(
        { proxyAuthentication },
        {
          onRequest: (request) => {
            users.push(request.user);
            return { action: 'allow' };
          },
        },
      );
      const ask = async (user?: string): Promise<string> => {
        const args = ['-sS', '-f', '--cacert', proxy.caFile, ...way.curlArguments(proxy, user)];
        return (await curl([...args, `${origin.url}/`])).stdout.toString();
      };
      expect([await ask(), await ask('ada:wrong'), await ask(ada)]).toEqual(['', '', 'ok']);
      expect(origin.requests).toHaveLength(1);
      expect(origin.requests[0]?.rawHeaders.join().toLowerCase()).not.toContain('proxy-authorization');
      expect(users).toEqual(['ada']);
      const { closedByReason } = proxy.handle.metrics();
      expect(closedByReason.authentication_failed).toBe(2);
      await proxy.finish();
    });
  });

  test('undici asks in its own way', async () => {
    await using origin = await startHttpsOrigin({ authority });
    await using proxy = await startOpen({ proxyAuthentication });
    const agent = (token: string): ProxyAgent =>
      new ProxyAgent({
        uri: `http://127.0.0.1:${proxy.port}`,
        token: `Basic ${Buffer.from(token).toString('base64')}`,
        requestTls: { ca: proxy.ca.certificatePem },
      });
    const right = agent(ada);
    const wrong = agent('ada:wrong');
    const { statusCode, body } = await undiciRequest(`${origin.url}/`, { dispatcher: right });
    expect([statusCode, await body.text()]).toEqual([200, 'ok']);
    await expect(undiciRequest(`${origin.url}/`, { dispatcher: wrong })).rejects.toThrow('407');
    await Promise.all([right.close(), wrong.close()]);
    await proxy.finish();
  });
});

/** What curl is told to use the proxy by its https:// address. */
function through(proxy: LabProxy): readonly string[] {
  return [
    '-sS',
    '--proxy-cacert',
    proxy.caFile,
    '--cacert',
    proxy.caFile,
    '-x',
    `https://localhost:${portOf(proxy, 'tls')}`,
  ];
}

describe.skipIf(!hasCurl)('an https:// proxy address', () => {
  test.each([
    ['--http1.1', '1.1'],
    ['--http2', '2'],
  ])('carries what the client and its origin speak (%s)', async (flag, version) => {
    await using origin =
      flag === '--http2' ? await startHttp2Origin({ authority }) : await startHttpsOrigin({ authority });
    await using proxy = await startOpen();
    const url = `https://${origin.authority}/`;
    const result = await curl([...through(proxy), flag, '-w', ' %{http_version}', url]);
    expect([result.stderr, result.stdout.toString().slice(-version.length - 1)]).toEqual(['', ` ${version}`]);
    await proxy.finish();
  });

  test('carries a WebSocket', async () => {
    await using origin = await startWebSocketOrigin({ authority });
    await using proxy = await startOpen();
    const dispatcher = new ProxyAgent({
      uri: `https://localhost:${portOf(proxy, 'tls')}`,
      proxyTls: { ca: proxy.ca.certificatePem },
      requestTls: { ca: proxy.ca.certificatePem },
    });
    const socket = new WebSocket(`wss://${origin.authority}/chat`, { dispatcher });
    const got = new Promise<unknown>((resolve, reject) => {
      socket.addEventListener('message', ({ data }) => resolve(data));
      socket.addEventListener('error', ({ error }) => reject(error));
    });
    socket.addEventListener('open', () => socket.send('hello'));
    expect(await got).toContain('hello');
    const closed = new Promise((resolve) => socket.addEventListener('close', resolve));
    socket.close();
    await closed;
    await dispatcher.close();
    expect(proxy.events.events().map(({ kind }) => kind)).toContain('websocket_opened');
    await proxy.finish();
  });

  test('is not trusted without the authority of the proxy', async () => {
    await using proxy = await startOpen();
    const args = through(proxy).filter(
      (word, index, all) => ![word, all[index - 1]].includes('--proxy-cacert'),
    );
    const { code } = await curl([...args, 'https://o.example/']);
    expect(code).toBe(60);
    await proxy.finish();
  });
});

const pythonSocks = `
import socks, ssl, sys
host, port, proxy, user, password, ca, kind = sys.argv[1:]
s = socks.socksocket()
s.set_proxy(socks.SOCKS4 if kind == '4' else socks.SOCKS5, '127.0.0.1', int(proxy), rdns=kind != 'ip',
            username=user or None, password=password or None)
s.settimeout(10)
s.connect((host, int(port)))
t = ssl.create_default_context(cafile=ca).wrap_socket(s, server_hostname=host)
t.sendall(b'GET / HTTP/1.1\\r\\nHost: ' + host.encode() + b'\\r\\nConnection: close\\r\\n\\r\\n')
data = b''
while True:
    piece = t.recv(65536)
    if not piece: break
    data += piece
print(data.decode().split()[1], end='')
`;
const hasPySocks =
  (await hasCommand('python3')) && (await runProgram('python3', ['-c', 'import socks'])).code === 0;

/** What PySocks gets: the status of the answer, or the last line of what it complains about. */
async function askBySocks(
  proxy: LabProxy,
  target: { readonly host: string; readonly port: number },
  { user = '', password = '', kind = '5' } = {},
): Promise<readonly [string, string]> {
  const { host, port } = target;
  const words = [host, String(port), String(portOf(proxy, 'socks5')), user, password, proxy.caFile, kind];
  const { stdout, stderr } = await runProgram('python3', ['-c', pythonSocks, ...words]);
  return [stdout.toString(), stderr.trim().split('\n').at(-1) ?? ''];
}

describe.skipIf(!hasPySocks)('PySocks', () => {
  test.each([
    ['a name', 'localhost', '5'],
    ['a name that it resolves itself', 'localhost', 'ip'],
    ['an address', '127.0.0.1', '5'],
  ])('asks for %s', async (_what, host, kind) => {
    await using origin = await startHttpsOrigin({ authority });
    await using proxy = await startOpen();
    expect(await askBySocks(proxy, { host, port: origin.port }, { kind })).toEqual(['200', '']);
    await proxy.finish();
  });

  test('names a user, and is told when it is the wrong one', async () => {
    await using origin = await startHttpsOrigin({ authority });
    await using proxy = await startOpen({ proxyAuthentication });
    const target = { host: 'localhost', port: origin.port };
    expect(await askBySocks(proxy, target, { user: 'ada', password: 'count:ess' })).toEqual(['200', '']);
    expect((await askBySocks(proxy, target, { user: 'ada', password: 'x' }))[1]).toContain(
      'SOCKS5 authentication failed',
    );
    expect((await askBySocks(proxy, target))[1]).toContain(
      'All offered SOCKS5 authentication methods were rejected',
    );
    await proxy.finish();
  });

  test('understands refusals', async () => {
    await using proxy = await startOpen({
      interception: { destinations: ['*:*'], blockedHosts: ['blocked.example'] },
    });
    const blocked = { host: 'blocked.example', port: 443 };
    expect((await askBySocks(proxy, blocked))[1]).toContain('0x02: Connection not allowed by ruleset');
    expect((await askBySocks(proxy, blocked, { kind: '4' }))[1]).toContain('0x5b: Request rejected');
    await proxy.finish();
  });
});

describe('a Unix socket', () => {
  test('Node asks over it', async () => {
    await using origin = await startHttpOrigin();
    await using proxy = await startOpen();
    const asked = httpRequest({
      socketPath: socketPathOf(proxy),
      path: `${origin.url}/`,
      headers: { Host: 'o' },
    });
    asked.end();
    const [response] = await once(asked, 'response');
    expect(response).toMatchObject({ statusCode: 200 });
    await once(response.resume(), 'end');
    await proxy.finish();
  });

  test.skipIf(!hasNetcat)('nc tunnels through it', async () => {
    await using origin = await startTcpEcho();
    await using proxy = await startOpen();
    const input = Buffer.from(`CONNECT ${origin.authority} HTTP/1.1\r\n\r\n\0hello`);
    const { stdout } = await runProgram('nc', ['-N', '-U', socketPathOf(proxy)], { input });
    expect(stdout.toString()).toBe('HTTP/1.1 200 Connection Established\r\n\r\n\0hello');
    await proxy.finish();
  });

  test.skipIf(!hasCurl || !hasSocat)('socat leads other programs to it', async () => {
    await using origin = await startHttpsOrigin({ authority });
    await using proxy = await startOpen();
    const port = await freePort();
    const listen = `TCP-LISTEN:${port},bind=127.0.0.1,fork,reuseaddr`;
    const socat = spawn('socat', [listen, `UNIX-CONNECT:${socketPathOf(proxy)}`], { stdio: 'ignore' });
    try {
      const args = ['-sS', '--retry', '20', '--retry-connrefused', '--retry-delay', '1'];
      args.push('--cacert', proxy.caFile, '-x', `http://127.0.0.1:${port}`, `${origin.url}/`);
      expect((await curl(args, { timeoutMs: 25_000 })).stdout.toString()).toBe('ok');
      await proxy.finish();
    } finally {
      socat.kill('SIGKILL');
    }
  });
});

/** A port that is free at the moment. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address: AddressInfo | string | null = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

describe.skipIf(!hasCurl || !hasHaproxy)('haproxy in front', () => {
  test.each(['send-proxy', 'send-proxy-v2', 'send-proxy-v2 proxy-v2-options crc32c'])(
    'tells whose connection it is (%s)',
    async (option) => {
      await using origin = await startHttpsOrigin({ authority });
      await using folder = await temporaryDirectory();
      const metas: ConnectionMeta[] = [];
      const programs: unknown[] = [];
      await using proxy = await startProxy({
        trusts: authority,
        config: {
          bind: 'none',
          listeners: [{ bind: '127.0.0.1:0', proxyProtocol: { trustedAddresses: ['127.0.0.0/8'] } }],
        },
        handler: {
          onConnectionOpen: (meta) => void metas.push(meta),
          onRequest: (request) => {
            programs.push(request.connectionMeta.processInfo?.exeName);
            return { action: 'allow' };
          },
        },
      });
      const port = await freePort();
      const config = await folder.write(
        'haproxy.cfg',
        [
          'defaults',
          '  mode tcp',
          '  timeout connect 5s',
          '  timeout client 20s',
          '  timeout server 20s',
          'listen front',
          `  bind 127.0.0.1:${port}`,
          `  server back 127.0.0.1:${proxy.port} ${option}`,
          '',
        ].join('\n'),
      );
      const haproxy = spawn('haproxy', ['-db', '-f', config], { stdio: 'ignore' });
      try {
        const args = [
          '-sS',
          '--retry',
          '20',
          '--retry-connrefused',
          '--retry-delay',
          '1',
          '--local-port',
          '40000-45000',
        ];
        args.push('--cacert', proxy.caFile, '-x', `http://127.0.0.1:${port}`, `${origin.url}/`);
        const { stdout, stderr } = await curl(args, { timeoutMs: 25_000 });
        expect([stderr, stdout.toString()]).toEqual([expect.any(String), 'ok']);
        const family = metas[0]?.socketFamily;
        const remote = family !== undefined && 'remote' in family ? family.remote : undefined;
        expect(remote?.address).toBe('127.0.0.1');
        // curl was told which ports it may use: the client is curl, and not its forwarder.
        expect(metas[0]?.forwarder?.address).toBe('127.0.0.1');
        expect(remote?.port).toBeGreaterThanOrEqual(40_000);
        expect(metas[0]?.forwarder?.port).not.toBe(remote?.port);
        expect(programs).toEqual(process.platform === 'linux' ? ['curl'] : [undefined]);
        await proxy.finish();
      } finally {
        haproxy.kill('SIGKILL');
      }
    },
  );
});
