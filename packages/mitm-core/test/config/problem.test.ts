// How a problem reads: path, sentence, and as much of the value as helps and is not secret.
import { expect, test } from 'vitest';

import { parseConfig } from '../../src/config/parse.ts';
import { pathText } from '../../src/config/problem.ts';
import type { ConfigProblem } from '../../src/errors.ts';
import { ConfigError } from '../../src/errors.ts';
import { minimal } from './problems.ts';

function problemsOf(input: unknown): readonly ConfigProblem[] {
  try {
    parseConfig(input);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems;
  }
}

test.each([
  [[], ''],
  [['bind'], 'bind'],
  [['tls', 'caKeyPath'], 'tls.caKeyPath'],
  [['compatibilityOverrides', 12, 'ruleId'], 'compatibilityOverrides[12].ruleId'],
])('%j is written %j', (path, text) => {
  expect(pathText(path)).toBe(text);
});

test.each([
  ['numbers', 0, '0'],
  ['texts', 'soon', "'soon'"],
  ['long texts, cut', 'x'.repeat(1_000), `'${'x'.repeat(80)}'... 920 more characters`],
  ['lists by length', [1, 2], 'a list of 2'],
  ['empty lists', [], 'an empty list'],
  ['objects by name', { secret: 1 }, 'an object'],
  ['functions by name', () => 1, 'a function'],
  ['null', null, 'null'],
  ['big integers', 10n, '10n'],
])('%s are shown', (_what, headMs, received) => {
  expect(problemsOf({ ...minimal, timeouts: { headMs } })).toEqual([
    { path: 'timeouts.headMs', message: expect.stringContaining('whole number'), received },
  ]);
});

test.each([
  ['null', null, 'must be an object with named fields; leave the key out to get the default'],
  ['a list', [], 'must be an object with named fields'],
  ['a text', 'x', 'must be an object with named fields'],
])('%s is no section', (_what, body, message) => {
  expect(problemsOf({ ...minimal, body })).toMatchObject([{ path: 'body', message }]);
});

test.each([undefined, null, 1, 'x', []])('%j is no configuration', (input) => {
  expect(problemsOf(input)).toMatchObject([
    { path: '', message: expect.stringMatching(/^(?:must be|is required)/u) },
  ]);
});

test('missing values are not shown as received', () => {
  expect(problemsOf({})).toEqual([{ path: 'interception', message: 'is required' }]);
});

test('credentials and unknown values are never shown', () => {
  const upstreamHttpProxy = {
    host: 'p.test',
    port: 1,
    username: 'se:cret',
    password: 'secret\n',
    passwort: 'secret',
  };
  const input = { ...minimal, routeMode: 'upstream_http', upstreamHttpProxy, token: 'secret' };
  const problems = problemsOf(input);
  expect(problems.map(({ path }) => path)).toEqual([
    'upstreamHttpProxy.passwort',
    'upstreamHttpProxy.username',
    'upstreamHttpProxy.password',
    'token',
  ]);
  expect(JSON.stringify([problems, new ConfigError(problems).message])).not.toMatch(/se:?cret/u);
});

test('a value that breaks one rule twice is one problem', () => {
  expect(problemsOf({ ...minimal, timeouts: { headMs: 2 ** 60 } })).toHaveLength(1);
});
