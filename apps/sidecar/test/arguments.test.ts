import { describe, expect, test } from 'vitest';

import { parseArguments } from '../src/arguments.ts';
import { UsageError } from '../src/usage.ts';

function flagsOf(...argv: readonly string[]): object {
  const command = parseArguments(['run', ...argv]);
  if (command.kind !== 'run') throw new Error(`parsed as ${command.kind}`);
  return command.flags;
}

describe('commands', () => {
  test.each([
    ['nothing at all asks for help', [], 'help'],
    ['--help', ['--help'], 'help'],
    ['-h', ['-h'], 'help'],
    ['help behind the command', ['run', '--help'], 'help'],
    ['--version', ['--version'], 'version'],
    ['run', ['run'], 'run'],
    ['ca', ['ca', 'path'], 'ca'],
    ['help behind ca', ['ca', '--help'], 'help'],
  ])('%s', (_rule, argv, kind) => {
    expect(parseArguments(argv).kind).toBe(kind);
  });
});

describe('options of run', () => {
  test('without options everything is left to environment, file and default', () => {
    expect(flagsOf()).toEqual({
      config: undefined,
      listen: undefined,
      unixSocket: undefined,
      intercept: [],
      caCert: undefined,
      caKey: undefined,
      upstreamCa: [],
      useEnvProxy: false,
      eventLog: undefined,
      statusFile: undefined,
      graceMs: 10_000,
      logLevel: 'warn',
      demo: false,
      once: false,
    });
  });

  test.each([
    ['a path', ['--config', 'a.yaml'], { config: 'a.yaml' }],
    ['a value behind =', ['--listen=[::1]:0'], { listen: '[::1]:0' }],
    ['a Unix socket', ['--unix-socket', 's.sock'], { unixSocket: 's.sock' }],
    ['repeated rules', ['--intercept', 'a:1', '--intercept', '*:*'], { intercept: ['a:1', '*:*'] }],
    ['repeated authorities', ['--upstream-ca', 'a', '--upstream-ca', 'b'], { upstreamCa: ['a', 'b'] }],
    ['the CA', ['--ca-cert', 'c', '--ca-key', 'k'], { caCert: 'c', caKey: 'k' }],
    ['files', ['--event-log', 'e', '--status-file', 's'], { eventLog: 'e', statusFile: 's' }],
    ['no grace', ['--grace-ms', '0'], { graceMs: 0 }],
    ['the longest grace', ['--grace-ms', '2147483647'], { graceMs: 2_147_483_647 }],
    ['a level', ['--log-level', 'silent'], { logLevel: 'silent' }],
    ['the demo', ['--demo'], { demo: true, once: false }],
    ['--once is a demo, too', ['--once'], { demo: true, once: true }],
  ])('%s', (_rule, argv, expected) => {
    expect(flagsOf(...argv)).toMatchObject(expected);
  });
});

describe('bad usage is one sentence that names the argument', () => {
  test.each([
    ['an unknown option', ['run', '--bogus'], '--bogus'],
    ['an option without its value', ['run', '--listen'], '--listen'],
    ['an option that takes the next one for its value', ['run', '--listen', '--demo'], '--listen'],
    ['a value for a switch', ['run', '--demo=yes'], '--demo'],
    ['an empty value', ['run', '--config', ''], '--config'],
    ['an empty value among good ones', ['run', '--intercept', 'a:1', '--intercept', ' '], '--intercept'],
    ['an unknown command', ['serve'], '"serve"'],
    ['a missing command', ['--demo'], 'soth-mitm run'],
    ['a value that belongs to no option', ['run', 'extra'], '"extra"'],
    ['a grace that is no number', ['run', '--grace-ms', '1s'], '"1s"'],
    ['a grace beyond what a timer can wait', ['run', '--grace-ms', '2147483648'], '2147483647'],
    ['an unknown level', ['run', '--log-level', 'loud'], 'trace, debug'],
  ])('%s', (_rule, argv, named) => {
    const attempt = (): unknown => parseArguments(argv);
    expect(attempt).toThrow(UsageError);
    expect(attempt).toThrow(named);
    expect(attempt).not.toThrow('\n');
  });
});
