// Which program sent it: real programs ask through the proxy, and the handler is told each one's own process.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

import type { MitmConfigInput, ProcessInfo } from 'soth-mitm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import { hasCommand } from '../lab/clients.ts';
import { startHttpsOrigin } from '../lab/origins.ts';
import { type LabProxy, startProxy } from '../lab/proxy.ts';
import { temporaryDirectory } from '../lab/temporary.ts';

let authority: LabAuthority;
beforeAll(async () => {
  authority = await createLabAuthority();
});
afterAll(() => authority[Symbol.asyncDispose]());

interface Sight {
  readonly hook: string;
  readonly process: ProcessInfo | undefined;
}

/** Starts a proxy whose handler notes the process that each hook is shown. */
async function startWatching(seen: Sight[], config: Partial<MitmConfigInput> = {}): Promise<LabProxy> {
  return await startProxy({
    config,
    trusts: authority,
    handler: {
      onConnectionOpen: (meta) => void seen.push({ hook: 'onConnectionOpen', process: meta.processInfo }),
      shouldInterceptTls: (_host, process) => {
        seen.push({ hook: 'shouldInterceptTls', process });
        return true;
      },
      onRequest: (request) => {
        seen.push({ hook: 'onRequest', process: request.connectionMeta.processInfo });
        return { action: 'allow' };
      },
    },
  });
}

/** Runs a program to its end and returns its pid and its exit code. */
async function pidOf(
  command: string,
  args: readonly string[],
): Promise<readonly [number | undefined, unknown]> {
  const child = spawn(command, args, { stdio: 'ignore', timeout: 15_000 });
  const [code]: unknown[] = await once(child, 'close');
  return [child.pid, code];
}

const hasCurl = await hasCommand('curl');

describe.skipIf(process.platform !== 'linux' || !hasCurl)('a program on this machine', () => {
  test('is named to every hook of its connection', async () => {
    await using origin = await startHttpsOrigin({ authority });
    const seen: Sight[] = [];
    await using proxy = await startWatching(seen);
    const ask = ['-sS', '-o', '/dev/null', '--cacert', proxy.caFile, '-x', `http://127.0.0.1:${proxy.port}`];
    const [pid, code] = await pidOf('curl', [...ask, `https://${origin.authority}/`]);
    expect(code).toBe(0);
    expect(seen.map(({ hook }) => hook)).toEqual(['onConnectionOpen', 'shouldInterceptTls', 'onRequest']);
    for (const { process: found } of seen) {
      expect(found).toMatchObject({ pid, exeName: 'curl', parentPid: process.pid });
      expect(found?.exePath).toMatch(/curl$/);
    }
    await proxy.finish();
  });

  test('is told from others that ask at the same time', async () => {
    await using origin = await startHttpsOrigin({ authority });
    const seen: Sight[] = [];
    await using proxy = await startWatching(seen);
    const ask = ['-sS', '-o', '/dev/null', '--cacert', proxy.caFile, '-x', `http://127.0.0.1:${proxy.port}`];
    const runs = await Promise.all(
      Array.from({ length: 12 }, () => pidOf('curl', [...ask, `https://${origin.authority}/`])),
    );
    expect(runs.map(([, code]) => code)).toEqual(Array.from({ length: 12 }, () => 0));
    const pids = seen.filter(({ hook }) => hook === 'onRequest').map((sight) => sight.process?.pid);
    expect(new Set(pids)).toEqual(new Set(runs.map(([pid]) => pid)));
    expect(pids).toHaveLength(12);
    await proxy.finish();
  });
});

/** Asks for SERVER by CONNECT at the Unix socket SOCKET, trusting CA. */
const unixClient = `
const [socketPath, server, ca] = process.argv.slice(1);
require('node:http').request({ socketPath, method: 'CONNECT', path: server }).on('connect', (_, socket) => {
  const tls = require('node:tls').connect({ socket, ca: require('node:fs').readFileSync(ca), servername: 'localhost' });
  tls.resume().end('GET / HTTP/1.1\\r\\nHost: ' + server + '\\r\\nConnection: close\\r\\n\\r\\n');
}).end();`;

test.skipIf(process.platform !== 'linux')('a client of a Unix socket is named', async () => {
  await using folder = await temporaryDirectory();
  await using origin = await startHttpsOrigin({ authority });
  const unixSocketPath = join(folder.path, 'proxy');
  const seen: Sight[] = [];
  await using proxy = await startWatching(seen, { listeners: [{ unixSocketPath }] });
  const [pid, code] = await pidOf(process.execPath, [
    '-e',
    unixClient,
    unixSocketPath,
    origin.authority,
    proxy.caFile,
  ]);
  expect(code).toBe(0);
  expect(seen.map(({ hook }) => hook)).toEqual(['onConnectionOpen', 'shouldInterceptTls', 'onRequest']);
  for (const { process: found } of seen) expect(found).toMatchObject({ pid, parentPid: process.pid });
  await proxy.finish();
});
