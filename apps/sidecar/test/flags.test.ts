import { expect, test } from 'vitest';

import { flagTable, helpText } from '../src/flags.ts';

test.each(Object.entries(flagTable))('--%s is in the help, with what it is for', (name, { text }) => {
  const line = helpText()
    .split('\n')
    .find((row) => row.trimStart().startsWith(`--${name}`));
  expect(line).toContain(text);
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
