// What `soth-mitm log` says about a log that was written by a run before.
import { appendFile, readFile, rm } from 'node:fs/promises';

import { createMitmProxy, EventLogError, generateCa } from 'soth-mitm';
import { expect, test } from 'vitest';

import { httpThroughProxy } from '../../../testing/lab/clients.ts';
import { startHttpOrigin } from '../../../testing/lab/origins.ts';
import { temporaryDirectory, type TemporaryDirectory } from '../../../testing/lab/temporary.ts';
import type { LogFlags } from '../src/log-arguments.ts';
import { LogCommandError, runLogCommand } from '../src/log-command.ts';

interface WrittenLog extends AsyncDisposable {
  readonly path: string;
  readonly key: string;
  readonly folder: TemporaryDirectory;
  run(
    action: 'show' | 'verify' | 'index',
    flags?: Partial<LogFlags>,
  ): Promise<{ exitClass: string; out: string }>;
}

/** A log of two plain requests, with a chain. */
async function writtenLog(): Promise<WrittenLog> {
  const folder = await temporaryDirectory();
  const path = folder.resolve('events.jsonl');
  const key = await folder.write('key', 'k'.repeat(32));
  await using origin = await startHttpOrigin();
  await using proxy = await createMitmProxy({
    ca: await generateCa(),
    config: {
      bind: '127.0.0.1:0',
      interception: { destinations: ['*:*'] },
      eventLog: { path, hmacKeyPath: key },
    },
  }).start();
  for (const page of ['a', 'b'])
    await httpThroughProxy({ proxyPort: proxy.address.port, url: `http://localhost:${origin.port}/${page}` });
  return {
    path,
    key,
    folder,
    run: async (action, flags = {}) => {
      let out = '';
      const exitClass = await runLogCommand(
        {
          kind: 'log',
          action,
          flags: { path, from: undefined, flow: undefined, keys: [key], index: undefined, ...flags },
        },
        { writeOut: (text) => void (out += text) },
      );
      return { exitClass, out };
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

test('show prints the lines of the log, all or those that are asked for', async () => {
  await using log = await writtenLog();
  const text = await readFile(log.path, 'utf8');
  expect(await log.run('show')).toEqual({ exitClass: 'ok', out: text });
  const lines = text.split('\n');
  expect((await log.run('show', { from: 3 })).out).toBe(lines.slice(2).join('\n'));
  const ofFlow = lines.filter((line) => line.includes('"flow_id":2,'));
  expect(ofFlow.length).toBeGreaterThan(3);
  expect((await log.run('show', { flow: 2 })).out).toBe(`${ofFlow.join('\n')}\n`);
});

test('verify says that a log is as it was written, and where it is not', async () => {
  await using log = await writtenLog();
  const intact = await log.run('verify');
  expect(intact.exitClass).toBe('ok');
  expect(intact.out).toMatch(/^intact: \d+ lines are as they were written; closed in order\n$/);
  await appendFile(log.path, '{}\n');
  const changed = await log.run('verify');
  expect(changed.exitClass).toBe('log_not_intact');
  expect(changed.out).toMatch(/^not intact: .*\nbytes_unaccounted: Bytes of the log are there/);
});

test('index makes a lost index again', async () => {
  await using log = await writtenLog();
  const written = await readFile(`${log.path}.index.tsv`, 'utf8');
  await rm(`${log.path}.index.tsv`);
  const { out } = await log.run('index');
  expect(out).toBe(
    `${written.split('\n').length - 2} lines are in the index; 0 bytes at ends of files are no whole line\n`,
  );
  expect(await readFile(`${log.path}.index.tsv`, 'utf8')).toBe(written);
  const elsewhere = log.folder.resolve('index');
  await log.run('index', { index: elsewhere });
  expect(await readFile(elsewhere, 'utf8')).toBe(written);
});

test('what is not there is named', async () => {
  await using log = await writtenLog();
  const missing = log.folder.resolve('missing');
  await expect(log.run('show', { path: missing })).rejects.toThrow(EventLogError);
  await expect(log.run('verify', { keys: [missing] })).rejects.toThrow(LogCommandError);
  await expect(log.run('verify', { keys: [missing] })).rejects.toThrow(
    `the key ${missing} cannot be read (ENOENT)`,
  );
});
