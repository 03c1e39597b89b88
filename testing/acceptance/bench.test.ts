// What the bench computes and writes is right, as far as that can be told without measuring; and it starts, on the systems that
// it is for. Figures are no test's business: they are for people, on a quiet machine.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { expect, test } from 'vitest';

import { hasCommand } from '../lab/clients.ts';

const hasPython = await hasCommand('python3');
const missing = hasPython ? '' : ' (skipped: no python3)';
const elsewhere = process.platform === 'linux' ? missing : ' (skipped: it runs on Linux only)';

/** Runs a program of the bench to its end. */
function bench(...argv: readonly string[]): Promise<{ code: number | null; output: string }> {
  const folder = fileURLToPath(new URL('../bench/', import.meta.url));
  const child = spawn('python3', argv, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, output }));
  });
}

test.skipIf(!hasPython)(`its statistics, commands, tables and page are right${missing}`, async () => {
  const { code, output } = await bench('selfcheck.py');
  expect({ code, output }).toEqual({ code: 0, output: expect.stringMatching(/Ran \d{2,} tests[^]*\nOK\n$/) });
});

test.skipIf(elsewhere !== '')(`it lists scenarios and targets${elsewhere}`, async () => {
  const { code, output } = await bench('bench.py', 'list');
  expect(code).toBe(0);
  for (const name of ['h1-1k', 'newconn', 'tunnel-1k', 'ours', 'ours-handler', 'haproxy']) {
    expect(output).toMatch(new RegExp(`^  ${name} `, 'm'));
  }
});

test.skipIf(elsewhere !== '')(`it says what is wrong before it measures${elsewhere}`, async () => {
  const { code, output } = await bench('bench.py', 'run', '--targets', 'nobody');
  expect({ code, output }).toEqual({ code: 1, output: expect.stringContaining('bench: no target nobody: ') });
});
