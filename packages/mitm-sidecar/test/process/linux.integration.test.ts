// Real programs connect to a real listener on Linux, and are named.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { basename, isAbsolute, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import type { SocketFamily } from 'mitm-core';
import { Metrics } from 'mitm-observe';
import { afterEach, describe, expect, test, vi } from 'vitest';

import { within } from '../../../../testing/lab/deadline.ts';
import { temporaryDirectory } from '../../../../testing/lab/temporary.ts';
import { LinuxProcesses } from '../../src/process/linux.ts';
import { ProcessLookup } from '../../src/process/lookup.ts';

const isLinux = process.platform === 'linux';
const isRoot = process.geteuid?.() === 0;
/** Connects to HOST PORT and stays. */
const nodeClient = 'require("net").connect(+process.argv[2], process.argv[1]).on("error", () => {})';
/** Connects for each byte on its standard input. */
const nodeRepeater = `process.stdin.on("data", (bytes) => { for (const _ of bytes) ${nodeClient} })`;

const children: ChildProcess[] = [];
const sockets: Socket[] = [];
const servers: Server[] = [];

afterEach(async () => {
  for (const lookup of lookups.splice(0)) lookup.close();
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const server of servers.splice(0)) server.close();
  const ended = children.splice(0).map(async (child) => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  });
  await Promise.all(ended);
});

function start(command: string, args: readonly string[], input: 'pipe' | 'ignore' = 'ignore'): ChildProcess {
  const child = spawn(command, args, { stdio: [input, 'ignore', 'ignore'] });
  children.push(child);
  return child;
}

/** @param where a host, or the path of a Unix socket */
async function listen(where: string): Promise<{ port: number; accept: () => Promise<Socket> }> {
  const server = createServer();
  servers.push(server);
  if (isAbsolute(where)) server.listen(where);
  else server.listen(0, where);
  await once(server, 'listening');
  const address = server.address();
  const waiting: Socket[] = [];
  server.on('connection', (socket) => {
    socket.on('error', () => {});
    sockets.push(socket);
    waiting.push(socket);
  });
  const accept = (): Promise<Socket> => vi.waitUntil(() => waiting.shift(), { timeout: 8_000, interval: 1 });
  return { port: typeof address === 'object' ? (address?.port ?? 0) : 0, accept };
}

function familyOf(socket: Socket): SocketFamily {
  const { localAddress = '', localPort = 0, remoteAddress = '', remotePort = 0 } = socket;
  return {
    kind: remoteAddress.includes(':') ? 'tcp_v6' : 'tcp_v4',
    local: { address: localAddress, port: localPort },
    remote: { address: remoteAddress, port: remotePort },
  };
}

/** What the system is asked by; `/proc` alone where koffi is not installed. */
const ways = [
  ['by the kernel’s own answer', {}],
  ['by /proc alone', { load: () => Promise.reject(new Error('koffi is not installed')) }],
] as const;
type Way = (typeof ways)[number][1];

const lookups: ProcessLookup[] = [];

function newLookup(way: Way = {}): ProcessLookup {
  const config = { enabled: true, lookupTimeoutMs: 5_000, cacheCapacity: 4_096 };
  const source = new LinuxProcesses(way);
  const lookup = new ProcessLookup({ config: () => config, metrics: new Metrics(), source });
  lookups.push(lookup);
  return lookup;
}

describe.skipIf(!isLinux).for(ways)('the client of a connection, %s,', ([, way]) => {
  test.each([
    ['over IPv4', '127.0.0.1', '127.0.0.1'],
    ['over IPv6', '::1', '::1'],
    ['over IPv4 to a dual-stack listener', '::', '127.0.0.1'],
    ['with an IPv6 socket and a mapped address', '::', '::ffff:127.0.0.1'],
  ])('is named %s', async (_, bound, dialled) => {
    const { port, accept } = await listen(bound);
    const child = start(process.execPath, ['-e', nodeClient, dialled, String(port)]);
    expect(await newLookup(way).lookup(familyOf(await accept()))).toEqual({
      kind: 'found',
      info: {
        pid: child.pid,
        exeName: basename(readlinkSync(`/proc/${child.pid}/exe`)),
        exePath: readlinkSync(`/proc/${child.pid}/exe`),
        parentPid: process.pid,
        parentProcessName: basename(readlinkSync(`/proc/${process.pid}/exe`)),
      },
    });
  });

  test('is the child of a shell, not the shell', async () => {
    const { port, accept } = await listen('127.0.0.1');
    const script = '"$0" -e "$1" 127.0.0.1 "$2"; exit 0';
    const shell = start('/bin/sh', ['-c', script, process.execPath, nodeClient, String(port)]);
    const result = await newLookup(way).lookup(familyOf(await accept()));
    const shellName = basename(readlinkSync(`/proc/${shell.pid}/exe`));
    expect(result).toMatchObject({ info: { parentPid: shell.pid, parentProcessName: shellName } });
    expect(result).not.toMatchObject({ info: { pid: shell.pid } });
    if (result.kind === 'found') process.kill(result.info.pid);
  });

  test.for([
    ['curl', ['-s', '-m', '8']],
    ['python3', ['-c', 'import sys, urllib.request as r; r.urlopen(sys.argv[1])']],
  ] as const)('is %s', async ([program, args], context) => {
    if (spawnSync(program, ['--version']).error !== undefined) return context.skip(`${program} is missing`);
    const { port, accept } = await listen('127.0.0.1');
    start(program, [...args, `http://127.0.0.1:${port}/`]);
    const result = await newLookup(way).lookup(familyOf(await accept()));
    expect(result.kind === 'found' ? result.info.exeName : result).toMatch(new RegExp(`^${program}`));
  });

  test('may be our own process', async () => {
    const { port, accept } = await listen('127.0.0.1');
    sockets.push(connect(port, '127.0.0.1'));
    const result = await newLookup(way).lookup(familyOf(await accept()));
    expect(result).toMatchObject({ info: { pid: process.pid } });
  });

  test('is not found once it has gone', async () => {
    const { port, accept } = await listen('127.0.0.1');
    const child = start(process.execPath, ['-e', nodeClient, '127.0.0.1', String(port)]);
    const family = familyOf(await accept());
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(await newLookup(way).lookup(family)).toEqual({ kind: 'not_found' });
  });
});

test.skipIf(!isLinux)('the client of a Unix socket is named where koffi is installed', async () => {
  await using directory = await temporaryDirectory('unix-client-');
  const path = join(directory.path, 'socket');
  const { accept } = await listen(path);
  const script = 'require("net").connect(process.argv[1])';
  const child = start(process.execPath, ['-e', script, path]);
  const stream = await accept();
  const lookup = newLookup();
  const family: SocketFamily = { kind: 'unix_domain', path };
  expect(await lookup.lookup(family, { stream })).toMatchObject({ kind: 'found', info: { pid: child.pid } });
  const alone = newLookup({ load: () => Promise.reject(new Error('koffi is not installed')) });
  expect(await alone.lookup(family, { stream })).toEqual({ kind: 'unsupported' });
});

describe.skipIf(!isLinux).for(ways)('many processes, %s,', ([, way]) => {
  test('do not hide the client, nor stop the event loop', async () => {
    const { port, accept } = await listen('127.0.0.1');
    const older = start(process.execPath, ['-e', nodeRepeater, '127.0.0.1', String(port)], 'pipe');
    for (let i = 0; i < 300; i++) start('sleep', ['60']);
    older.stdin?.write('x');
    const lookup = newLookup(way);
    let lastTurnAt = performance.now();
    let longestTurnMs = 0;
    const turns = setInterval(() => {
      longestTurnMs = Math.max(longestTurnMs, performance.now() - lastTurnAt);
      lastTurnAt = performance.now();
    }, 1);
    const first = familyOf(await accept());
    const unknownMs = await timed(() => expectPid(lookup, first, older));
    const knownMs: number[] = [];
    for (let i = 0; i < 20; i++) {
      older.stdin?.write('x');
      const family = familyOf(await accept());
      knownMs.push(await timed(() => expectPid(lookup, family, older)));
    }
    clearInterval(turns);
    expect(unknownMs).toBeLessThan(1_000);
    expect(knownMs.toSorted((a, b) => a - b)[10]).toBeLessThan(100);
    // Tables and folders are read off the loop, or in slices: nothing near the whole search, however busy the machine.
    expect(longestTurnMs).toBeLessThan(500);
  });

  test('connections that come together are all named', async () => {
    const { port, accept } = await listen('127.0.0.1');
    const clients = Array.from({ length: 3 }, () =>
      start(process.execPath, ['-e', nodeRepeater, '127.0.0.1', String(port)], 'pipe'),
    );
    for (const client of clients) client.stdin?.write('x'.repeat(40));
    const accepted: Socket[] = [];
    while (accepted.length < 120) accepted.push(await accept());
    const lookup = newLookup(way);
    const results = await Promise.all(accepted.map((socket) => lookup.lookup(familyOf(socket))));
    const counts = new Map<number | undefined, number>();
    for (const result of results) {
      const pid = result.kind === 'found' ? result.info.pid : undefined;
      counts.set(pid, (counts.get(pid) ?? 0) + 1);
    }
    expect(counts).toEqual(new Map(clients.map(({ pid }) => [pid, 40])));
  });
});

test.skipIf(!isLinux)('a client in another network namespace is named, v4 and v6', async (context) => {
  if (!isRoot) return context.skip('only root may make network namespaces');
  const name = `soth-${process.pid}`;
  const near = `sa${process.pid}`;
  const far = `sb${process.pid}`;
  const commands = [
    `netns add ${name}`,
    `link add ${near} type veth peer name ${far} netns ${name}`,
    `addr add 10.213.77.1/30 dev ${near}`,
    `addr add fd77:213::1/64 dev ${near} nodad`,
    `link set ${near} up`,
    `-n ${name} addr add 10.213.77.2/30 dev ${far}`,
    `-n ${name} addr add fd77:213::2/64 dev ${far} nodad`,
    `-n ${name} link set ${far} up`,
  ];
  try {
    for (const command of commands) {
      const { status } = spawnSync('ip', command.split(' '));
      if (status !== 0) return context.skip(`ip ${command} does not work here`);
    }
    const lookup = newLookup();
    for (const host of ['10.213.77.1', 'fd77:213::1']) {
      const { port, accept } = await listen(host);
      const inside = ['netns', 'exec', name, process.execPath, '-e', nodeClient, host, String(port)];
      const child = start('ip', inside);
      await expectPid(lookup, familyOf(await accept()), child);
    }
  } finally {
    spawnSync('ip', ['netns', 'del', name]);
  }
});

test.skipIf(!isLinux)(
  "an unprivileged user is told that it may not know other users' processes",
  async (context) => {
    if (!isRoot) return context.skip('only root can act as another user');
    const program = fileURLToPath(new URL('find-client.ts', import.meta.url));
    const nobody = spawn(process.execPath, [program], {
      uid: 65_534,
      gid: 65_534,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    children.push(nobody);
    const lines = createInterface(nobody.stdout)[Symbol.asyncIterator]();
    const { value: port } = await within(lines.next(), 8_000, 'the port');
    sockets.push(connect(Number(port), '127.0.0.1'));
    const { value: sighting } = await within(lines.next(), 8_000, 'the result');
    expect(JSON.parse(String(sighting))).toEqual({ kind: 'not_permitted' });
  },
);

async function expectPid(lookup: ProcessLookup, family: SocketFamily, child: ChildProcess): Promise<void> {
  expect(await lookup.lookup(family)).toMatchObject({ kind: 'found', info: { pid: child.pid } });
}

async function timed(work: () => Promise<void>): Promise<number> {
  const since = performance.now();
  await work();
  return performance.now() - since;
}
