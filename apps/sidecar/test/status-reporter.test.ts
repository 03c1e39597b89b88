import { readFile } from 'node:fs/promises';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { type TemporaryDirectory, temporaryDirectory } from '../../../testing/lab/temporary.ts';
import { StatusReporter } from '../src/status-reporter.ts';
import type { StatusRecord } from '../src/status.ts';

let folder: TemporaryDirectory;
beforeAll(async () => {
  folder = await temporaryDirectory();
});
afterAll(async () => {
  await folder[Symbol.asyncDispose]();
});

test('a line is the prefix, a tab and the record', () => {
  const written: string[] = [];
  const reporter = new StatusReporter({
    path: undefined,
    writeError: (text) => written.push(text),
    now: () => 7,
  });
  reporter.report({ stage: 'startup' });
  expect(written).toEqual([
    'SOTH_MITM_STATUS\t{"schema":"soth-mitm-automation-status-v1","stage":"startup","outcome":"in_progress",' +
      '"exit_code":0,"exit_class":"ok","unix_ms":7,"detail":null}\n',
  ]);
});

test('the file gets the same records behind what it holds, and its folders are made', async () => {
  const path = folder.resolve('deep', 'er', 'status.jsonl');
  for (const exitClass of ['ok', 'runtime_failed'] as const) {
    new StatusReporter({ path, writeError: () => {} }).report({ stage: 'exit', exitClass, detail: null });
  }
  const classes = (await readFile(path, 'utf8'))
    .trim()
    .split('\n')
    .map((line): StatusRecord => JSON.parse(line))
    .map((record) => record.exit_class);
  expect(classes).toEqual(['ok', 'runtime_failed']);
});

test('a file that cannot be written is told once', async () => {
  const written: string[] = [];
  const path = `${await folder.write('plain', '')}/status.jsonl`;
  const reporter = new StatusReporter({ path, writeError: (text) => written.push(text) });
  reporter.report({ stage: 'startup' });
  reporter.report({ stage: 'draining', detail: 'SIGINT' });
  expect(written.filter((line) => line.startsWith('SOTH_MITM_STATUS\t'))).toHaveLength(2);
  const complaints = written.filter((line) => line.startsWith('soth-mitm: '));
  expect(complaints).toHaveLength(1);
  expect(complaints[0]).toContain(path);
});
