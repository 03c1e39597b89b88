import { readFile } from 'node:fs/promises';

import { expect, test } from 'vitest';

import { lowestNode, tooOld } from '../src/node-version.ts';

test.each([
  ['22.19.0', true],
  ['22.20.1', true],
  ['23.0.0', true],
  ['26.1.0', true],
  ['22.18.9', false],
  ['20.20.2', false],
  ['18.0.0', false],
])('with Node %s, the program runs: %s', (version, runs) => {
  const complaint = `soth-mitm: needs Node.js 22.19 or newer, and this is ${version}\n`;
  expect(tooOld(version)).toBe(runs ? undefined : complaint);
});

test('it is the version that the manifest asks for', async () => {
  const manifest: unknown = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8'));
  expect(manifest).toMatchObject({ engines: { node: `>=${lowestNode}` } });
});
