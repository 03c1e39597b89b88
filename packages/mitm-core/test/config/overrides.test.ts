// Exceptions for single hosts: each changes something, is named once, and covers a host or what lies below one.
import { headLeniencies } from 'mitm-http';
import { expect, test } from 'vitest';

import { overrideFlags } from '../../src/config/overrides.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { minimal, problemsWith } from './problems.ts';

const rule = { ruleId: 'r', hostPattern: 'a.test', forceTunnel: true };

test.each(overrideFlags)('CF-19 a rule with only %s is complete, the other flags are false', (flag) => {
  const given = { ruleId: 'r', hostPattern: '*.a.test', [flag]: true };
  const parsed = parseConfig({ ...minimal, compatibilityOverrides: [given] });
  const all = {
    forceTunnel: false,
    disableH2: false,
    strictHeaderMode: false,
    skipUpstreamVerify: false,
    responseLeniency: [],
  };
  expect(parsed.compatibilityOverrides).toEqual([{ ...all, ...given }]);
});

test('a rule that only overlooks faults of response heads is complete', () => {
  const given = { ruleId: 'r', hostPattern: 'a.test', responseLeniency: [...headLeniencies] };
  const [parsed] = parseConfig({ ...minimal, compatibilityOverrides: [given] }).compatibilityOverrides;
  expect(parsed).toMatchObject({ ...given, forceTunnel: false, strictHeaderMode: false });
});

test.each([
  [
    'CF-20 a rule changes something',
    [rule, { ruleId: 's', hostPattern: 'b.test' }],
    '[1]: changes nothing: set one of forceTunnel',
  ],
  ['a rule has a name', [{ ...rule, ruleId: ' ' }], '[0].ruleId: must not be empty'],
  [
    'names are not shared',
    [rule, { ...rule, hostPattern: 'b.test' }],
    '[1].ruleId: is already the name of rule 0',
  ],
  ['a rule has a host', [{ ruleId: 'r', forceTunnel: true }], '[0].hostPattern: is required'],
  ['the host is not blank', [{ ...rule, hostPattern: '' }], '[0].hostPattern: ""'],
  ['CF-21 one star only', [{ ...rule, hostPattern: '*.*.x' }], '[0].hostPattern: "*.*.x"'],
  ['CF-21 no star inside', [{ ...rule, hostPattern: 'a.*.x' }], '[0].hostPattern: "a.*.x"'],
  ['no port', [{ ...rule, hostPattern: 'a.test:443' }], '[0].hostPattern: "a.test:443"'],
  ['flags are true or false', [{ ...rule, disableH2: 1 }], '[0].disableH2: must be true or false'],
  [
    'a rule that overlooks nothing changes nothing',
    [{ ruleId: 's', hostPattern: 'b.test', responseLeniency: [] }],
    '[0]: changes nothing: set one of forceTunnel',
  ],
  [
    'faults are overlooked by name',
    [{ ...rule, responseLeniency: ['all'] }],
    '[0].responseLeniency[0]: must be one of',
  ],
  [
    'a fault is named once',
    [{ ...rule, responseLeniency: ['bare_lf', 'bare_lf'] }],
    '[0].responseLeniency: names a fault twice',
  ],
  ['faults are a list', [{ ...rule, responseLeniency: 'bare_lf' }], '[0].responseLeniency: must be a list'],
  ['rules are objects', ['a.test'], '[0]: must be an object'],
])('%s', (_rule, compatibilityOverrides, problem) => {
  expect(problemsWith({ compatibilityOverrides })).toEqual([
    expect.stringContaining(`compatibilityOverrides${problem}`),
  ]);
});

test('the rules are a list', () => {
  expect(problemsWith({ compatibilityOverrides: rule })).toEqual(['compatibilityOverrides: must be a list']);
});
