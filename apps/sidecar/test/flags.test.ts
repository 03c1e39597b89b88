import { expect, test } from 'vitest';

import { caActions, caFlagTable } from '../src/ca-arguments.ts';
import { flagTable, helpText } from '../src/flags.ts';
import { logActions, logFlagTable } from '../src/log-arguments.ts';

test.each(Object.entries(flagTable))('--%s is in the help, with what it is for', (name, { text }) => {
  const line = helpText()
    .split('\n')
    .find((row) => row.trimStart().startsWith(`--${name}`));
  expect(line).toContain(text);
});

test('the actions and options of ca are in the help, with what they are for', () => {
  const rows = helpText().split('\n');
  for (const [action, text] of Object.entries(caActions)) {
    expect(rows.some((row) => row.startsWith(`  ${action} `) && row.endsWith(text))).toBe(true);
  }
  for (const [name, { text }] of Object.entries(caFlagTable)) {
    expect(rows.some((row) => row.startsWith(`  --${name} `) && row.endsWith(text))).toBe(true);
  }
});

test('the actions and options of log are in the help, with what they are for', () => {
  const rows = helpText().split('\n');
  for (const [action, text] of Object.entries(logActions))
    expect(rows.some((row) => row.startsWith(`  ${action} `) && row.endsWith(text))).toBe(true);
  for (const [name, { text }] of Object.entries(logFlagTable))
    expect(rows.some((row) => row.startsWith(`  --${name} `) && row.endsWith(text))).toBe(true);
});

test('the help fits a terminal of 100 columns', () => {
  expect(
    Math.max(
      ...helpText()
        .split('\n')
        .map((line) => line.length),
    ),
  ).toBeLessThanOrEqual(100);
});
