import { once } from 'node:events';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';

import { thisMachine, type TrustMachine } from 'soth-mitm';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { connectTunnel } from '../../../testing/lab/clients.ts';
import { within } from '../../../testing/lab/deadline.ts';
import { refusedPort, startTcpEcho } from '../../../testing/lab/origins.ts';
import { type TemporaryDirectory, temporaryDirectory } from '../../../testing/lab/temporary.ts';
import { runProgram, version } from '../src/program.ts';
import type { StatusRecord } from '../src/status.ts';
import type { StopRequest } from '../src/stop-requests.ts';

/** A run of the program in this process: what it wrote, and its signals. */
class Run {
  out = '';
  error = '';
  readonly code: Promise<number>;
  #stop: ((request: StopRequest) => void) | undefined;
  #reload: (() => void) | undefined;
  #onStatus = new Set<() => void>();

  constructor(
    argv: readonly string[],
    cwd: string,
    variables: NodeJS.ProcessEnv = {},
    machine: TrustMachine = thisMachine(),
  ) {
    const first = new Promise<StopRequest>((resolve) => {
      this.#stop = resolve;
    });
    this.code = runProgram(argv, {
      variables,
      cwd,
      machine,
      writeOut: (text) => {
        this.out += text;
      },
      writeError: (text) => {
        this.error += text;
        for (const look of this.#onStatus) look();
      },
      stops: {
        first,
        onReload: (listener) => {
          this.#reload = listener;
        },
      },
    });
  }

  get records(): readonly StatusRecord[] {
    return this.error
      .split('\n')
      .filter((line) => line.startsWith('SOTH_MITM_STATUS\t'))
      .map((line): StatusRecord => JSON.parse(line.slice('SOTH_MITM_STATUS\t'.length)));
  }

  /** The nth record (from 0) of a stage. */
  async record(stage: string, index = 0): Promise<StatusRecord> {
    const found = new Promise<StatusRecord>((resolve) => {
      const look = (): void => {
        const record = this.records.filter((one) => one.stage === stage)[index];
        if (record !== undefined) resolve(record);
      };
      this.#onStatus.add(look);
      look();
    });
    return within(found, 5_000, () => `status ${stage} (${this.error})`);
  }

  stop(request: StopRequest = { kind: 'signal', signal: 'SIGTERM' }): void {
    this.#stop?.(request);
  }

  reload(): void {
    this.#reload?.();
  }
}

let folder: TemporaryDirectory;
beforeEach(async () => {
  folder = await temporaryDirectory();
});
afterEach(async () => {
  await folder[Symbol.asyncDispose]();
});

const anyPort = ['--listen', '127.0.0.1:0'];
const run = (...argv: readonly string[]): Run => new Run(['run', ...argv], folder.path);

test.each([
  ['--help', 'Usage: soth-mitm run'],
  ['--version', `${version()}\n`],
])('%s answers on standard output', async (flag, text) => {
  const program = new Run([flag], folder.path);
  expect(await program.code).toBe(0);
  expect(program.out).toContain(text);
  expect(program.error).toBe('');
});

test('ca answers on standard output, without a status, and says with its exit code what it found', async () => {
  const create = new Run(['ca', 'create'], folder.path);
  expect(await create.code).toBe(0);
  expect(create.out).toBe(`made: ${folder.resolve('.soth-mitm', 'ca.pem')}\n`);
  expect(create.error).toBe('');
  const machine = { ...thisMachine(), platform: 'aix' as const };
  const check = new Run(['ca', 'check'], folder.path, {}, machine);
  expect(await check.code).toBe(24);
  expect(check.error).toMatch(/^soth-mitm: is_ca_trusted: aix has no store "system".*\n$/u);
});

test('a run says startup, running, draining, exit, and nothing on standard output', async () => {
  const program = run(...anyPort);
  const { listen_port: port } = await program.record('running');
  expect(port).toBeGreaterThan(0);
  program.stop();
  expect(await program.code).toBe(0);
  expect(program.records.map(({ stage }) => stage)).toEqual(['startup', 'running', 'draining', 'exit']);
  expect(program.out).toBe('');
  expect(await readFile(folder.resolve('.soth-mitm', 'ca.pem'), 'utf8')).toContain('BEGIN CERTIFICATE');
});

test('a run writes a log that can be shown and checked, and its end can be told from a change', async () => {
  const key = await folder.write('key', 'k'.repeat(32));
  const path = folder.resolve('e.jsonl');
  const program = new Run(
    ['run', ...anyPort, '--event-log', path, '--intercept', 'elsewhere.test:443'],
    folder.path,
    {
      SOTH_MITM_EVENT_LOG_V2_HMAC_KEY_PATH: key,
    },
  );
  const { listen_port: port } = await program.record('running');
  await using echo = await startTcpEcho();
  const tunnel = await connectTunnel(port ?? 0, `127.0.0.1:${echo.port}`);
  await tunnel[Symbol.asyncDispose]();
  program.stop();
  expect(await program.code).toBe(0);
  const log = async (...argv: readonly string[]): Promise<[number, string]> => {
    const command = new Run(['log', ...argv], folder.path);
    return [await command.code, command.out + command.error];
  };
  expect(await log('show', path)).toEqual([0, await readFile(path, 'utf8')]);
  expect(await log('verify', path, '--key', key)).toEqual([0, expect.stringContaining('closed in order')]);
  await appendFile(path, '{}\n');
  expect(await log('verify', path, '--key', key)).toEqual([26, expect.stringContaining('bytes_unaccounted')]);
  expect(await log('show', path)).toEqual([27, expect.stringContaining('has no event log line at byte')]);
  expect(await log('show')).toEqual([20, expect.stringContaining('log show needs the file')]);
});

test('metrics are answered where --admin says', async () => {
  const port = await refusedPort();
  const program = run(...anyPort, '--admin', `127.0.0.1:${port}`);
  await program.record('running');
  const answer = await fetch(`http://127.0.0.1:${port}/metrics`);
  expect(await answer.text()).toContain('# TYPE soth_mitm_request_duration_seconds histogram\n');
  program.stop();
  expect(await program.code).toBe(0);
});

test('bad usage ends before it began: no status', async () => {
  const program = run('--grace-ms', 'x');
  expect(await program.code).toBe(20);
  expect(program.records).toEqual([]);
  expect(program.error).toMatch(/^soth-mitm: --grace-ms is "x".*\n$/u);
});

test('an error that nobody caught drains and ends as runtime_failed', async () => {
  const program = run(...anyPort);
  await program.record('running');
  program.stop({ kind: 'crash', error: new Error('lost') });
  expect(await program.code).toBe(23);
  expect(program.records.map(({ stage }) => stage)).toContain('draining');
  expect(program.error).toContain('Error: lost');
});

test('what does not end within the grace is cut and told, and the exit is still good', async () => {
  const echo = await startTcpEcho();
  const program = run(...anyPort, '--intercept', 'elsewhere.test:443', '--grace-ms', '1');
  const { listen_port: port } = await program.record('running');
  const tunnel = await connectTunnel(port ?? 0, `127.0.0.1:${echo.port}`);
  tunnel.socket.on('error', () => {});
  program.stop();
  expect(await program.code).toBe(0);
  expect(program.error).toContain('--grace-ms gives them more time');
  expect(program.records.at(-1)).toMatchObject({ stage: 'exit', outcome: 'ok' });
  expect(program.records.at(-1)?.detail).toContain('1 ms');
  await tunnel[Symbol.asyncDispose]();
  await echo[Symbol.asyncDispose]();
});

describe('a reload', () => {
  const base = 'bind: 127.0.0.1:0\ninterception:\n  destinations: ["a.test:443"]\n';

  test.each([
    [
      'of a changed file names what changed',
      base.replace('a.test', 'b.test'),
      'ok',
      'interception.destinations',
    ],
    ['of the same file', base, 'ok', 'nothing changed'],
    ['of a file that cannot be read', 'bind: [', 'error', 'config.yaml, line'],
    ['of an invalid file', `${base}nope: 1\n`, 'error', 'nope'],
    ['of what needs a restart', base.replace(':0', ':1'), 'error', 'bind'],
  ])('%s', async (_rule, text, outcome, detail) => {
    const path = await folder.write('config.yaml', base);
    const program = run('--config', path);
    await program.record('running');
    await writeFile(path, text);
    program.reload();
    const record = await program.record('reloaded');
    expect(record).toMatchObject({ outcome, exit_code: 0 });
    expect(record.detail).toContain(detail);
    program.stop();
    expect(await program.code).toBe(0);
  });

  test('without a file says that there is none', async () => {
    const program = run(...anyPort);
    await program.record('running');
    program.reload();
    expect((await program.record('reloaded')).detail).toContain('--config');
    program.stop();
    expect(await program.code).toBe(0);
  });
});

describe('the demo', () => {
  test('--once shows the request and ends', async () => {
    const program = run('--once');
    expect(await program.code).toBe(0);
    expect(program.out).toContain('POST https://localhost:');
    expect(program.records.map(({ stage }) => stage)).toEqual(['startup', 'running', 'draining', 'exit']);
  });

  test('a self-check that fails is a sentence and 23', async () => {
    const path = await folder.write(
      'config.json',
      '{"interception":{"destinations":["*:*"],"blockedHosts":["localhost"]}}',
    );
    const program = run('--once', '--config', path);
    expect(await program.code).toBe(23);
    expect(program.error).toContain("soth-mitm: the demo's own request failed");
  });

  test('takes a free port when the default one is taken, also over a reload', async () => {
    const blocker = createServer().listen(8080, '127.0.0.1');
    // Somebody else may have the port already, which is just as good.
    await Promise.race([once(blocker, 'listening'), once(blocker, 'error')]).catch(() => {});
    const path = await folder.write('config.json', '{"interception":{"destinations":["a.test:443"]}}');
    const program = run('--demo', '--config', path);
    const { listen_port: port } = await program.record('running');
    expect(port).not.toBe(8080);
    expect(program.out).toContain(`the demo takes 127.0.0.1:${port}`);
    program.reload();
    expect(await program.record('reloaded')).toMatchObject({ outcome: 'ok', detail: 'nothing changed' });
    program.stop({ kind: 'signal', signal: 'SIGINT' });
    expect(await program.code).toBe(0);
    expect(program.out).toContain('Ctrl-C stops');
    blocker.close();
  });
});
