// Clients that a firewall redirects, in a network namespace of their own: origin, proxy and client run there, and the rules lead
// every connection to the origin's port through the proxy, which is excepted by its user.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import { hasCommand } from '../lab/clients.ts';
import { runProgram } from '../lab/programs.ts';
import { type TemporaryDirectory, temporaryDirectory } from '../lab/temporary.ts';

const namespace = `soth-${process.pid}`;
const proxyUser = 65_533;
const [plainPort, securePort, routedPort] = [8_081, 8_443, 8_082];
const [proxyPort, tproxyPort, deniedPort] = [9_001, 9_002, 9_003];

/** What the namespace needs; the first thing that is missing is the reason to skip. */
async function missing(): Promise<string | undefined> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'needs root on Linux';
  for (const command of ['ip', 'nft', 'curl', 'setpriv', 'unshare'])
    if (!(await hasCommand(command))) return `needs ${command}`;
  const made = await runProgram('ip', ['netns', 'add', namespace]);
  if (made.code !== 0) return 'may not make network namespaces';
  const table = await inside(['nft', 'add', 'table', 'ip', 'try']);
  if (table.code === 0) return undefined;
  await runProgram('ip', ['netns', 'del', namespace]);
  return 'may not make firewall rules';
}

function inside(command: readonly string[]) {
  return runProgram('ip', ['netns', 'exec', namespace, ...command]);
}

/** Rules for both families: what is for the origin's ports goes to the proxy, unless the proxy itself asks. */
const rules = ['ip', 'ip6'].flatMap((family) => [
  `add table ${family} soth`,
  `add chain ${family} soth output { type nat hook output priority -100 ; }`,
  `add rule ${family} soth output meta skuid ${proxyUser} accept`,
  `add rule ${family} soth output tcp dport { ${plainPort}, ${securePort} } redirect to :${proxyPort}`,
]);

/** TPROXY takes what comes in: connections of this machine to one port are sent around once, so that they do. */
const tproxyRules = [
  ['ip', '127.0.0.1'],
  ['ip6', '[::1]'],
].flatMap(([family, proxy]) => [
  `add table ${family} routed`,
  `add chain ${family} routed output { type route hook output priority mangle ; }`,
  `add rule ${family} routed output meta skuid != ${proxyUser} tcp dport ${routedPort} meta mark set 1`,
  `add chain ${family} routed prerouting { type filter hook prerouting priority mangle ; }`,
  `add rule ${family} routed prerouting iif lo meta mark 1 tcp dport ${routedPort} tproxy to ${proxy}:${tproxyPort}`,
]);

/** An origin of both kinds that names the port which it was asked at. */
const originScript = `
  const { cert, key } = JSON.parse(process.argv[1]);
  const http = require('node:http'), https = require('node:https'), http2 = require('node:http2');
  const answer = (request, response) => response.end('from ' + (request.headers[':authority'] ?? request.headers.host));
  for (const port of [${plainPort}, ${routedPort}]) http.createServer(answer).listen(port, '::');
  http2.createSecureServer({ cert, key, allowHTTP1: true }, answer).listen(${securePort}, '::', () => console.log('ready'));
`;

const proxyScript = `
  import { createMitmProxy } from 'soth-mitm';
  const config = JSON.parse(process.argv[1]);
  const proxy = createMitmProxy({ config, handler: { onRequest: (request) => {
    console.log(JSON.stringify({ request: request.authority, version: request.httpVersion }));
    return { action: 'allow' };
  } } });
  const handle = await proxy.start();
  handle.events.on('connect_decision', (event) => console.log(JSON.stringify({
    host: event.context.serverHost, port: event.context.serverPort, action: event.action, client: event.context.clientAddr,
  })));
  handle.events.on('stream_closed', (event) => console.log(JSON.stringify({ closed: event.reasonCode })));
  console.log('ready');
`;

const reason = await missing();

describe.skipIf(reason !== undefined)(
  `redirected clients${reason === undefined ? '' : ` (${reason})`}`,
  () => {
    const children: ChildProcess[] = [];
    const told: string[] = [];
    let authority: LabAuthority;
    let folder: TemporaryDirectory;
    let caFile: string;

    async function start(command: readonly string[], cwd: string): Promise<void> {
      const child = spawn('ip', ['netns', 'exec', namespace, ...command], {
        cwd,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      children.push(child);
      child.stderr.on('data', (text: Buffer) => told.push(text.toString()));
      const lines = createInterface(child.stdout);
      lines.on('line', (line) => told.push(line));
      const ready = (async () => {
        while (!told.includes('ready')) await once(lines, 'line');
      })();
      const ended = once(child, 'close').then(() => {
        throw new Error(`it ended: ${told.join('\n')}`);
      });
      await Promise.race([ready, ended]);
      told.length = 0;
    }

    beforeAll(async () => {
      authority = await createLabAuthority();
      folder = await temporaryDirectory();
      // Seen by whatever runs in the namespace, in place of the machine's own.
      await mkdir(`/etc/netns/${namespace}`, { recursive: true });
      await writeFile(
        `/etc/netns/${namespace}/hosts`,
        '127.0.0.1 localhost tunnelled.example\n::1 localhost\n',
      );
      await inside(['ip', 'link', 'set', 'lo', 'up']);
      const { certPem: cert, keyPem: key } = await authority.issue([
        'localhost',
        '127.0.0.1',
        '::1',
        'tunnelled.example',
      ]);
      await start([process.execPath, '-e', originScript, JSON.stringify({ cert, key })], folder.path);
      const originCa = await folder.write('origin-ca.pem', authority.caPem);
      // The user of the proxy has to be able to read what it is told to, and to keep its authority.
      await runProgram('chown', ['-R', String(proxyUser), folder.path]);
      const config = {
        bind: 'none',
        listeners: [
          { bind: `[::]:${proxyPort}`, kind: 'transparent' },
          { bind: `127.0.0.1:${tproxyPort}`, kind: 'transparent', redirection: 'tproxy' },
          { bind: `[::1]:${tproxyPort}`, kind: 'transparent', redirection: 'tproxy' },
        ],
        interception: {
          destinations: ['*:*'],
          blockedHosts: ['blocked.example'],
          ignoreHosts: ['tunnelled.example'],
        },
        tls: { caCertPath: folder.resolve('ca.pem'), caKeyPath: folder.resolve('ca-key.pem') },
        upstream: { caPaths: [originCa] },
      };
      const mayRoute = ['--inh-caps', '+net_admin', '--ambient-caps', '+net_admin'];
      const asUser = ['setpriv', `--reuid=${proxyUser}`, '--clear-groups', ...mayRoute];
      const node = [process.execPath, '--input-type=module', '-e', proxyScript, JSON.stringify(config)];
      await start([...asUser, ...node], new URL('..', import.meta.url).pathname);
      caFile = folder.resolve('ca.pem');
      await inside(['nft', [...rules, ...tproxyRules].join('\n')]);
      for (const [family, everything] of [
        ['-4', '0.0.0.0/0'],
        ['-6', '::/0'],
      ] as const) {
        await inside(['ip', family, 'rule', 'add', 'fwmark', '1', 'lookup', '100']);
        await inside(['ip', family, 'route', 'add', 'local', everything, 'dev', 'lo', 'table', '100']);
      }
    }, 40_000);

    afterAll(async () => {
      for (const child of children) {
        child.kill('SIGKILL');
        await once(child, 'close');
      }
      await runProgram('ip', ['netns', 'del', namespace]);
      await rm(`/etc/netns/${namespace}`, { recursive: true, force: true });
      await folder[Symbol.asyncDispose]();
      await authority[Symbol.asyncDispose]();
    });

    async function ask(...args: readonly string[]): Promise<string> {
      told.length = 0;
      const { stdout, stderr } = await inside([
        'curl',
        '-q',
        '-sS',
        '--max-time',
        '10',
        '--cacert',
        caFile,
        ...args,
      ]);
      return stdout.toString() || stderr;
    }

    test.each([
      ['HTTP/1 over IPv4', '-4', '--http1.1'],
      ['HTTP/1 over IPv6', '-6', '--http1.1'],
      ['HTTP/2 over IPv4', '-4', '--http2'],
      ['HTTP/2 over IPv6', '-6', '--http2'],
    ])('reach their origin by TLS, read by the proxy: %s', async (_what, family, version) => {
      expect(await ask(family, version, `https://localhost:${securePort}/`)).toBe(
        `from localhost:${securePort}`,
      );
      expect(told.join()).toContain(`{"host":"localhost","port":${securePort},"action":"intercept"`);
      expect(told.join()).toContain(version === '--http2' ? '"version":"HTTP/2"' : '"version":"HTTP/1.1"');
    });

    test.each(['-4', '-6'])('reach their origin by HTTP (%s)', async (family) => {
      expect(await ask(family, `http://localhost:${plainPort}/`)).toBe(`from localhost:${plainPort}`);
      expect(told.join()).toContain(`{"host":"localhost","port":${plainPort},"action":"intercept"`);
    });

    test.each(['-4', '-6'])('reach their origin by TPROXY (%s)', async (family) => {
      expect(await ask(family, `http://localhost:${routedPort}/`)).toBe(`from localhost:${routedPort}`);
      expect(told.join()).toContain(`{"host":"localhost","port":${routedPort},"action":"intercept"`);
    });

    test('are judged by the address where they name nothing', async () => {
      expect(await ask(`https://127.0.0.1:${securePort}/`)).toBe(`from 127.0.0.1:${securePort}`);
      expect(told.join()).toContain(`{"host":"127.0.0.1","port":${securePort}`);
    });

    test('are tunnelled where policy says so, and meet the origin itself', async () => {
      const originCa = folder.resolve('origin-ca.pem');
      const url = `https://tunnelled.example:${securePort}/`;
      expect(await ask('--cacert', originCa, url)).toBe(`from tunnelled.example:${securePort}`);
      expect(told.join()).toContain('"host":"tunnelled.example","port":8443,"action":"tunnel"');
    });

    test.each([
      ['a blocked name at an open address', 'https', securePort],
      ['a blocked name in Host at an open address', 'http', plainPort],
    ])('get no further by a lie: %s', async (_what, scheme, port) => {
      const url = `${scheme}://blocked.example:${port}/`;
      expect(await ask('--resolve', `blocked.example:${port}:127.0.0.1`, url)).toBe('blocked_host\n');
      expect(told.join()).toContain('"host":"blocked.example"');
    });

    test('get no further by a lie: an open name at another address is dialled by its name', async () => {
      // The address is nobody's; the name leads to the origin, and that is what was judged.
      const url = `https://localhost:${securePort}/`;
      expect(await ask('--resolve', `localhost:${securePort}:127.7.7.7`, url)).toBe(
        `from localhost:${securePort}`,
      );
      expect(told.join()).toContain('"host":"localhost"');
    });

    test('are refused where nobody redirected them', async () => {
      await ask(`http://127.0.0.1:${proxyPort}/`);
      await expect.poll(() => told.join()).toContain('"closed":"route_planner_failed"');
    });

    test('TPROXY is not taken without the right to it', async () => {
      const config = {
        bind: 'none',
        listeners: [{ bind: `127.0.0.1:${deniedPort}`, kind: 'transparent', redirection: 'tproxy' }],
        interception: { destinations: ['*:*'] },
        tls: { caCertPath: folder.resolve('ca.pem'), caKeyPath: folder.resolve('ca-key.pem') },
      };
      const asUser = ['setpriv', `--reuid=${proxyUser}`, '--clear-groups'];
      const node = [process.execPath, '--input-type=module', '-e', proxyScript, JSON.stringify(config)];
      const { stderr } = await runProgram('ip', ['netns', 'exec', namespace, ...asUser, ...node], {
        cwd: new URL('..', import.meta.url).pathname,
      });
      expect(stderr).toContain('TPROXY needs the capability CAP_NET_ADMIN');
    });
  },
);
