// The command `soth-mitm` as it is installed: exit codes, status lines, signals and files, from the outside.
import { EventEmitter, once } from 'node:events';
import { lstat, readFile, writeFile } from 'node:fs/promises';
import type { Readable } from 'node:stream';

import { generateCa, saveCa } from 'soth-mitm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import { connectTunnel, curl, hasCommand, tlsOver } from '../lab/clients.ts';
import { within } from '../lab/deadline.ts';
import { startHttpsOrigin, type HttpsOrigin, type OriginHandler } from '../lab/origins.ts';
import { temporaryDirectory } from '../lab/temporary.ts';
import { ProgramProcess, type StatusLine } from './program-process.ts';

const hasCurl = await hasCommand('curl');
const anyPort = ['run', '--listen', '127.0.0.1:0'];

function start(...argv: readonly string[]): Promise<ProgramProcess> {
  return ProgramProcess.start(() => argv);
}

async function lines(path: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const text = await readFile(path, 'utf8');
  return text
    .split('\n')
    .slice(0, -1)
    .map((line): Readonly<Record<string, unknown>> => JSON.parse(line));
}

let authority: LabAuthority;
beforeAll(async () => {
  authority = await createLabAuthority();
});
afterAll(async () => {
  await authority[Symbol.asyncDispose]();
});

async function textOf(stream: Readable): Promise<string> {
  let text = '';
  for await (const piece of stream) text += String(piece);
  return text;
}

/** Sends a request through the program, verified against its own CA; the answer may take its time. */
async function ask(
  program: ProgramProcess,
  origin: HttpsOrigin,
  path: string,
): Promise<{ readonly answer: Promise<string> }> {
  const port = await program.port();
  const ca = await readFile(program.folder.resolve('.soth-mitm', 'ca.pem'), 'utf8');
  const tunnel = await connectTunnel(port, origin.authority);
  const secure = await tlsOver(tunnel.socket, { servername: 'localhost', ca });
  secure.write(`GET ${path} HTTP/1.1\r\nHost: ${origin.authority}\r\nConnection: close\r\n\r\n`);
  return { answer: textOf(secure) };
}

describe('bad beginnings: a sentence, a class and a code', () => {
  test('EL-08 an event log below a regular file: 21, on standard error and in the status file', async () => {
    await using program = await ProgramProcess.start(async (folder) => {
      const file = await folder.write('plain', '');
      return [...anyPort, '--event-log', `${file}/events.jsonl`, '--status-file', folder.resolve('status')];
    });
    expect(await program.end()).toBe(21);
    const expected = {
      schema: 'soth-mitm-automation-status-v1',
      stage: 'exit',
      outcome: 'error',
      exit_code: 21,
      exit_class: 'event_sink_init_failed',
    };
    expect(program.statuses.at(-1)).toMatchObject(expected);
    expect((await lines(program.folder.resolve('status'))).at(-1)).toEqual(program.statuses.at(-1));
    expect(program.complaints).toHaveLength(1);
  });

  test('EL-08 the same by the variables of the original', async () => {
    await using folder = await temporaryDirectory();
    const environment = {
      SOTH_MITM_EVENT_LOG_V2_PATH: `${await folder.write('plain', '')}/events.jsonl`,
      SOTH_MITM_AUTOMATION_STATUS_PATH: folder.resolve('status'),
    };
    await using program = await ProgramProcess.start(() => anyPort, { environment });
    expect(await program.end()).toBe(21);
    expect((await lines(folder.resolve('status'))).at(-1)).toMatchObject({ stage: 'exit', exit_code: 21 });
  });

  test('a number in the environment that is none: 21, by its name', async () => {
    const environment = { SOTH_MITM_EVENT_LOG_V2_PATH: 'log', SOTH_MITM_EVENT_LOG_V2_FLUSH_EVERY: 'often' };
    await using program = await ProgramProcess.start(() => anyPort, { environment });
    expect(await program.end()).toBe(21);
    expect(program.complaints).toEqual([expect.stringContaining('SOTH_MITM_EVENT_LOG_V2_FLUSH_EVERY')]);
  });

  test('an invalid configuration: 20, with every problem on a line of its own', async () => {
    await using program = await ProgramProcess.start(async (folder) => [
      'run',
      '--config',
      await folder.write(
        'config.yaml',
        'bind: nowhere\ninterception:\n  destinations: ["*:*", "a:0"]\ntls:\n  minVersion: ssl3\nextra: 1\n',
      ),
    ]);
    expect(await program.end()).toBe(20);
    const [heading, ...problems] = program.complaints;
    expect(heading).toBe('soth-mitm: the configuration has 4 problems:');
    expect(problems.map((line) => line.trim().split(':')[0])).toEqual(
      expect.arrayContaining(['bind', 'interception.destinations[1]', 'tls.minVersion', 'extra']),
    );
    expect(program.statuses.at(-1)).toMatchObject({ stage: 'exit', exit_class: 'config_invalid' });
  });

  test('a syntax error: 20, with file, line and column', async () => {
    await using program = await ProgramProcess.start(async (folder) => [
      'run',
      '--config',
      await folder.write('config.json', '{\n  "bind": "127.0.0.1:0",\n}'),
    ]);
    expect(await program.end()).toBe(20);
    expect(program.complaints).toEqual([expect.stringContaining('config.json, line 3, column 1')]);
  });

  test('bad usage: 20', async () => {
    await using program = await start('run', '--bogus');
    expect(await program.end()).toBe(20);
    expect(program.complaints).toEqual([expect.stringContaining('--bogus')]);
  });

  test('half of a CA: 22', async () => {
    await using program = await ProgramProcess.start(async (folder) => {
      const certificate = await folder.write('ca.pem', (await generateCa()).certificatePem);
      return [...anyPort, '--ca-cert', certificate, '--ca-key', folder.resolve('ca-key.pem')];
    });
    expect(await program.end()).toBe(22);
    expect(program.complaints).toEqual([expect.stringContaining('ca-key.pem is missing')]);
    expect(program.statuses.at(-1)).toMatchObject({ exit_code: 22, exit_class: 'sidecar_init_failed' });
  });

  test('a port that is taken: 23, and never ready', async () => {
    await using first = await start(...anyPort);
    await using second = await start('run', '--listen', `127.0.0.1:${await first.port()}`);
    expect(await second.end()).toBe(23);
    expect(second.complaints).toEqual([expect.stringMatching(/cannot listen on .*: another program/u)]);
    expect(second.statuses.map(({ stage }) => stage)).toEqual(['startup', 'exit']);
    expect(second.statuses.at(-1)).toMatchObject({ exit_class: 'runtime_failed' });
  });
});

describe('a run', () => {
  test('says where it listens once it does, keeps silent, and leaves a CA', async () => {
    await using program = await start(...anyPort);
    const running = await program.status('running');
    const expected: Partial<StatusLine> = { outcome: 'ready', listen_addr: '127.0.0.1', exit_code: 0 };
    expect(running).toMatchObject(expected);
    expect(running.detail).toBe(`127.0.0.1:${running.listen_port}`);
    expect(program.out).toBe('');
    expect(program.complaints).toEqual([]);
    expect(await readFile(program.folder.resolve('.soth-mitm', 'ca.pem'), 'utf8')).toContain('CERTIFICATE');
  });

  test.skipIf(!hasCurl)('serves a Unix socket as well, and takes it away at the end', async () => {
    await using origin = await startHttpsOrigin({ authority });
    const caFile = await authority.caFile();
    await using program = await ProgramProcess.start((folder) => [
      ...anyPort,
      '--upstream-ca',
      caFile,
      '--unix-socket',
      folder.resolve('s'),
    ]);
    const path = program.folder.resolve('s');
    const { detail, listen_port: port } = await program.status('running');
    expect(detail).toBe(`127.0.0.1:${port}, ${path}`);
    const ca = program.folder.resolve('.soth-mitm', 'ca.pem');
    const asked = await curl(['-sS', '--cacert', ca, '-x', `socks5h://localhost${path}`, `${origin.url}/`]);
    expect([asked.stderr, asked.stdout.toString()]).toEqual(['', 'ok']);
    program.signal('SIGTERM');
    expect(await program.end()).toBe(0);
    await expect(lstat(path)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('uses the CA that it is given', async () => {
    const ca = await generateCa({ commonName: 'Given' });
    await using origin = await startHttpsOrigin({ authority });
    const caFile = await authority.caFile();
    await using program = await ProgramProcess.start(async (folder) => {
      const paths = { certPath: folder.resolve('c.pem'), keyPath: folder.resolve('k.pem') };
      await saveCa(ca, paths);
      return [...anyPort, '--ca-cert', paths.certPath, '--ca-key', paths.keyPath, '--upstream-ca', caFile];
    });
    await using tunnel = await connectTunnel(await program.port(), origin.authority);
    const secure = await tlsOver(tunnel.socket, { servername: 'localhost', ca: ca.certificatePem });
    expect(secure.getPeerCertificate().issuer.CN).toBe('Given');
  });

  test('trusts the origins of --upstream-ca, and writes what it saw to the event log', async () => {
    await using origin = await startHttpsOrigin({ authority });
    const caFile = await authority.caFile();
    await using program = await ProgramProcess.start((folder) => [
      ...anyPort,
      '--upstream-ca',
      caFile,
      '--event-log',
      folder.resolve('logs', 'events.jsonl'),
    ]);
    const { answer } = await ask(program, origin, '/seen?by=proxy');
    expect(await within(answer, 5_000, 'the answer')).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*\r\nok$/u);
    program.signal('SIGINT');
    expect(await program.end()).toBe(0);
    const events = await lines(program.folder.resolve('logs', 'events.jsonl'));
    expect(new Set(events.map(({ schema }) => schema))).toEqual(new Set(['soth-mitm-event-log-v2']));
    expect(events.map(({ sequence_id: id }) => id)).toEqual(events.map((_event, index) => index + 1));
    expect(events.find(({ kind }) => kind === 'request_headers')).toMatchObject({
      server_host: 'localhost',
      attributes: { method: 'GET', target: '/seen?by=[redacted]' },
    });
    expect(program.out).toBe('');
    expect(program.complaints).toEqual([]);
  });

  test('without --upstream-ca an origin of that CA is refused, with an explanation', async () => {
    await using origin = await startHttpsOrigin({ authority });
    await using program = await start(...anyPort);
    const { answer } = await ask(program, origin, '/');
    expect(await within(answer, 5_000, 'the answer')).toMatch(/^HTTP\/1\.1 502 /u);
    expect(origin.requests).toHaveLength(0);
  });
});

const neverDone: OriginHandler = (_seen, response) => {
  response.write('first,');
};

function blocking(host: string): string {
  return JSON.stringify({
    bind: '127.0.0.1:0',
    interception: { destinations: ['*:*'], blockedHosts: [host] },
  });
}

describe.skipIf(process.platform === 'win32')('signals', () => {
  test('SIGTERM lets the request in flight finish, then the exit is 0', async () => {
    const gate = new EventEmitter();
    const handler: OriginHandler = async (_seen, response) => {
      response.write('first,');
      await once(gate, 'open');
      response.end('last');
    };
    await using origin = await startHttpsOrigin({ authority, handler });
    await using program = await start(...anyPort, '--upstream-ca', await authority.caFile());
    const { answer } = await ask(program, origin, '/slow');
    await origin.request(0);
    program.signal('SIGTERM');
    expect((await program.status('draining')).detail).toContain('SIGTERM');
    const port = await program.port();
    const attempt = (): Promise<string> => connectTunnel(port, origin.authority).then(() => 'let in', String);
    await expect.poll(attempt).toContain('ECONNREFUSED');
    gate.emit('open');
    expect(await within(answer, 5_000, 'the answer')).toMatch(/first,[^]*last/u);
    expect(await program.end()).toBe(0);
    expect(program.statuses.map(({ stage }) => stage)).toEqual(['startup', 'running', 'draining', 'exit']);
    expect(program.statuses.at(-1)).toMatchObject({ outcome: 'ok', exit_class: 'ok', detail: null });
  });

  test.each([
    ['SIGINT', 'SIGTERM', 143],
    ['SIGTERM', 'SIGINT', 130],
  ] as const)('%s and then %s ends at once with %d', async (first, second, code) => {
    await using origin = await startHttpsOrigin({ authority, handler: neverDone });
    await using program = await start(...anyPort, '--upstream-ca', await authority.caFile());
    const { answer } = await ask(program, origin, '/endless');
    answer.catch(() => {}); // cut with the program
    await origin.request(0);
    program.signal(first);
    await program.status('draining');
    program.signal(second);
    expect(await program.end()).toBe(code);
  });

  test('SIGHUP takes a good file and refuses a bad one without stopping', async () => {
    await using origin = await startHttpsOrigin({ authority });
    await using program = await ProgramProcess.start(async (folder) => [
      'run',
      '--config',
      await folder.write('config.json', blocking('localhost')),
      '--upstream-ca',
      await authority.caFile(),
    ]);
    const port = await program.port();
    const path = program.folder.resolve('config.json');
    const verdict = async (): Promise<number> => {
      await using tunnel = await connectTunnel(port, origin.authority);
      return tunnel.status;
    };
    expect(await verdict()).toBe(403);

    await writeFile(path, '{');
    program.signal('SIGHUP');
    expect(await program.status('reloaded')).toMatchObject({ outcome: 'error', exit_code: 0 });
    expect(program.complaints.join('\n')).toContain('config.json, line 1, column 2');
    expect(await verdict()).toBe(403);

    await writeFile(path, blocking('elsewhere.test'));
    program.signal('SIGHUP');
    expect(await program.status('reloaded', 1)).toMatchObject({
      outcome: 'ok',
      detail: 'changed: interception.blockedHosts',
    });
    expect(await verdict()).toBe(200);
    program.signal('SIGTERM');
    expect(await program.end()).toBe(0);
  });
});

describe('the demo', () => {
  test('--once shows the intercepted request and the command to try, and exits with 0', async () => {
    await using program = await start('run', '--once');
    expect(await program.end()).toBe(0);
    expect(program.out).toMatch(/request +POST https:\/\/localhost:\d+\/hello\?from=soth-mitm\n/u);
    expect(program.out).toMatch(/status +200\n/u);
    expect(program.out).toMatch(
      /\n {2}curl --proxy http:\/\/127\.0\.0\.1:\d+ --cacert \S+ https:\/\/localhost:\d+\/hello\n/u,
    );
    expect(program.complaints).toEqual([]);
  });

  test('a self-check that fails exits with 23 and a sentence', async () => {
    await using program = await ProgramProcess.start(async (folder) => [
      'run',
      '--once',
      '--config',
      await folder.write('c.yaml', 'interception:\n  destinations: ["*:*"]\n  blockedHosts: [localhost]\n'),
    ]);
    expect(await program.end()).toBe(23);
    expect(program.complaints).toEqual([expect.stringContaining("the demo's own request failed")]);
    expect(program.statuses.at(-1)).toMatchObject({ exit_class: 'runtime_failed' });
  });

  test('--demo prints a line for each flow until it is stopped', async () => {
    await using origin = await startHttpsOrigin({ authority });
    await using program = await start(
      ...anyPort,
      '--demo',
      '--upstream-ca',
      await authority.caFile(),
      '--intercept',
      'localhost:*',
    );
    await program.output(/Ctrl-C stops/u);
    const { answer } = await ask(program, origin, '/line');
    await within(answer, 5_000, 'the answer');
    const line = await program.output(/^ {2}GET .*\n/mu);
    expect(line).toMatch(
      /^ {2}GET +200 +HTTP\/1\.1 +0 B +2 B +[\d.]+ m?s {2}https:\/\/localhost:\d+\/line\n$/u,
    );
    program.signal('SIGINT');
    expect(await program.end()).toBe(0);
  });
});

test.each([
  ['no argument', []],
  ['--help', ['--help']],
])('%s shows the usage', async (_what, argv) => {
  await using program = await start(...argv);
  expect(await program.end()).toBe(0);
  expect(program.out).toContain('Usage: soth-mitm run [options]');
});
