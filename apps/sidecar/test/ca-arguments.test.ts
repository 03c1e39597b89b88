import { describe, expect, test } from 'vitest';

import { caActions, parseCaArguments } from '../src/ca-arguments.ts';
import { UsageError } from '../src/usage.ts';

test.each(Object.keys(caActions))('%s is an action', (action) => {
  expect(parseCaArguments([action])).toMatchObject({ kind: 'ca', action });
});

test('without options everything is left to file and default', () => {
  expect(parseCaArguments(['check'])).toEqual({
    kind: 'ca',
    action: 'check',
    flags: { config: undefined, caCert: undefined, caKey: undefined, stores: ['system'] },
  });
});

test.each([
  ['files', ['--config', 'a', '--ca-cert', 'c', '--ca-key', 'k'], { config: 'a', caCert: 'c', caKey: 'k' }],
  ['stores, which replace the default', ['--store', 'nss', '--store=user'], { stores: ['nss', 'user'] }],
])('%s', (_rule, argv, flags) => {
  expect(parseCaArguments(['install', ...argv])).toMatchObject({ flags });
});

test('help', () => {
  expect(parseCaArguments(['install', '-h'])).toEqual({ kind: 'help' });
});

describe('bad usage is one sentence that says what to write', () => {
  test.each([
    ['no action', [], 'path, print, fingerprint'],
    ['an unknown action', ['trust'], '"trust"'],
    ['a second word', ['install', 'now'], '"now"'],
    ['an option of run', ['path', '--listen', 'a:1'], '--listen'],
    ['an unknown store', ['install', '--store', 'firefox'], 'system, user, nss'],
    ['an empty value', ['path', '--ca-cert', ''], '--ca-cert'],
  ])('%s', (_rule, argv, named) => {
    const attempt = (): unknown => parseCaArguments(argv);
    expect(attempt).toThrow(UsageError);
    expect(attempt).toThrow(named);
  });
});
