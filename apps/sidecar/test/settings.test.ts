import { join } from 'node:path';

import { ConfigError, createMitmProxy } from 'soth-mitm';
import { describe, expect, test } from 'vitest';

import { parseArguments, type RunFlags } from '../src/arguments.ts';
import { EnvironmentError, readEnvironment } from '../src/environment.ts';
import { type Settings, settingsOf, stateFolder } from '../src/settings.ts';

function flagsOf(argv: readonly string[]): RunFlags {
  const command = parseArguments(['run', ...argv]);
  if (command.kind !== 'run') throw new Error(`parsed as ${command.kind}`);
  return command.flags;
}

interface Given {
  readonly argv?: readonly string[];
  readonly variables?: NodeJS.ProcessEnv;
  readonly file?: Readonly<Record<string, unknown>>;
}

function settings({ argv = [], variables = {}, file }: Given): Settings {
  return settingsOf({
    flags: flagsOf(argv),
    environment: readEnvironment(variables),
    file,
    cwd: '/work',
  });
}

const everything = { interception: { destinations: ['*:*'] } };
const ownCa = {
  caCertPath: join('/work', stateFolder, 'ca.pem'),
  caKeyPath: join('/work', stateFolder, 'ca-key.pem'),
};

test('given nothing, it intercepts everything with a CA of its own', () => {
  const { config, hasDefaultListen } = settings({});
  expect(config).toEqual({ ...everything, tls: ownCa });
  expect(hasDefaultListen).toBe(true);
  expect(() => createMitmProxy({ config })).not.toThrow();
});

describe('a flag goes before the environment, the environment before the file, the file before the default', () => {
  const path = 'SOTH_MITM_EVENT_LOG_V2_PATH';
  const file = {
    ...everything,
    bind: '127.0.0.1:1',
    eventLog: { path: 'file', flushEvery: 3, rotateBytes: 9 },
  };
  test.each<readonly [string, Given, object]>([
    ['the file alone', { file }, file],
    ['--listen', { file, argv: ['--listen', '[::1]:2'] }, { bind: '[::1]:2' }],
    ['--unix-socket', { file, argv: ['--unix-socket', '/s'] }, { bind: '127.0.0.1:1', unixSocketPath: '/s' }],
    ['--once takes any port', { file, argv: ['--once'] }, { bind: '127.0.0.1:0' }],
    ['--once with --listen', { argv: ['--once', '--listen', '127.0.0.1:7'] }, { bind: '127.0.0.1:7' }],
    [
      '--intercept replaces the list',
      { file, argv: ['--intercept', 'a:1'] },
      { interception: { destinations: ['a:1'] } },
    ],
    [
      '--upstream-ca adds to the list',
      {
        file: { upstream: { caPaths: ['a'], timeoutMs: 5 } },
        argv: ['--upstream-ca', 'b', '--upstream-ca', 'c'],
      },
      { upstream: { caPaths: ['a', 'b', 'c'], timeoutMs: 5 } },
    ],
    ['--upstream-ca alone', { argv: ['--upstream-ca', 'b'] }, { upstream: { caPaths: ['b'] } }],
    [
      'the log of the environment keeps what the file says beside the path',
      { file, variables: { [path]: 'environment' } },
      { eventLog: { path: 'environment', flushEvery: 3, rotateBytes: 9 } },
    ],
    [
      '--event-log before the environment',
      { file, variables: { [path]: 'environment' }, argv: ['--event-log', 'flag'] },
      { eventLog: { path: 'flag' } },
    ],
    [
      'numbers of the environment',
      {
        file,
        variables: { SOTH_MITM_EVENT_LOG_V2_FLUSH_EVERY: '7', SOTH_MITM_EVENT_LOG_V2_ROTATE_BYTES: '8' },
      },
      { eventLog: { path: 'file', flushEvery: 7, rotateBytes: 8 } },
    ],
    [
      'the key of the environment',
      { file, variables: { SOTH_MITM_EVENT_LOG_V2_HMAC_KEY_PATH: 'k' } },
      { eventLog: { path: 'file', hmacKeyPath: 'k' } },
    ],
    [
      '--admin',
      { file: { admin: { bind: '127.0.0.1:1' } }, argv: ['--admin', '127.0.0.1:2'] },
      { admin: { bind: '127.0.0.1:2' } },
    ],
  ])('%s', (_rule, given, expected) => {
    expect(settings(given).config).toMatchObject(expected);
  });
});

describe('secrets', () => {
  test('the passphrase and the key log of the environment go before those of the file', () => {
    const file = { tls: { caKeyPassphrase: 'file', keyLogPath: 'file' } };
    const variables = { SOTH_MITM_CA_KEY_PASSPHRASE: 'environment', SSLKEYLOGFILE: 'keys.log' };
    const { config, sources } = settings({ file, variables });
    expect(config.tls).toMatchObject({ caKeyPassphrase: 'environment', keyLogPath: 'keys.log' });
    expect([...sources]).toEqual([
      ['tls.caKeyPassphrase', 'SOTH_MITM_CA_KEY_PASSPHRASE'],
      ['tls.keyLogPath', 'SSLKEYLOGFILE'],
    ]);
    expect(settings({}).config.tls).not.toHaveProperty('keyLogPath');
  });
});

describe('the CA', () => {
  test.each<readonly [string, Given, object]>([
    ['its own', { file: everything }, ownCa],
    [
      'its own beside other TLS settings',
      { file: { tls: { minVersion: 'tls1.3' } } },
      { minVersion: 'tls1.3', ...ownCa },
    ],
    [
      'the one of the file',
      { file: { tls: { caCertPath: 'c', caKeyPath: 'k' } } },
      { caCertPath: 'c', caKeyPath: 'k' },
    ],
    [
      'the one of the flags',
      { file: { tls: { caCertPath: 'c', caKeyPath: 'k' } }, argv: ['--ca-cert', 'C', '--ca-key', 'K'] },
      { caCertPath: 'C', caKeyPath: 'K' },
    ],
    ['half of one is not completed', { argv: ['--ca-cert', 'C'] }, { caCertPath: 'C' }],
  ])('is %s', (_rule, given, expected) => {
    expect(settings(given).config.tls).toEqual(expected);
  });
});

test('with a file, what is intercepted has to be said', () => {
  const { config } = settings({ file: {} });
  expect(() => createMitmProxy({ config })).toThrow(ConfigError);
});

test.each([
  ['a section that is a number', { tls: 5 }, 'tls'],
  ['a list that is a text', { ...everything, upstream: { caPaths: 'a.pem' } }, 'upstream.caPaths'],
])('%s stays wrong, so that the schema can say so', (_rule, file, path) => {
  const { config } = settings({ file, argv: ['--ca-cert', 'C', '--ca-key', 'K', '--upstream-ca', 'b'] });
  let problems: readonly string[] = [];
  try {
    createMitmProxy({ config });
  } catch (error) {
    if (error instanceof ConfigError) problems = error.problems.map((problem) => problem.path);
  }
  expect(problems).toContain(path);
});

describe('numbers in the environment', () => {
  const variables = { SOTH_MITM_EVENT_LOG_V2_FLUSH_EVERY: 'many' };
  test('are judged where there is a log', () => {
    expect(() => settings({ argv: ['--event-log', 'log'], variables })).toThrow(EnvironmentError);
  });
  test('say nothing where there is none', () => {
    expect(settings({ variables }).config.eventLog).toBeUndefined();
  });
});

test('it is known which flag or variable set a field', () => {
  const { sources } = settings({
    argv: ['--listen', 'x:1', '--intercept', 'a:1', '--ca-cert', 'c', '--ca-key', 'k', '--upstream-ca', 'u'],
    variables: { SOTH_MITM_EVENT_LOG_V2_PATH: 'log', SOTH_MITM_EVENT_LOG_V2_FLUSH_EVERY: '2' },
  });
  expect(Object.fromEntries(sources)).toEqual({
    bind: '--listen',
    'interception.destinations': '--intercept',
    'tls.caCertPath': '--ca-cert',
    'tls.caKeyPath': '--ca-key',
    'upstream.caPaths': '--upstream-ca',
    'eventLog.path': 'SOTH_MITM_EVENT_LOG_V2_PATH',
    'eventLog.flushEvery': 'SOTH_MITM_EVENT_LOG_V2_FLUSH_EVERY',
  });
});

describe('the proxy of the environment', () => {
  const variables = {
    HTTPS_PROXY: 'http://p.test:3128',
    HTTP_PROXY: 'http://p.test:3128',
    NO_PROXY: 'a.test',
  };
  const file = { ...everything, routeMode: 'reverse', reverseUpstream: { host: 'o.test', port: 1 } };

  test('is not looked at unless the command line says so', () => {
    expect(settings({ file, variables }).config).toMatchObject(file);
    expect(settings({ file, variables: { HTTPS_PROXY: 'ftp://x' } }).config).toMatchObject(file);
  });

  test('replaces what the file says about the way, and is named where it is at fault', () => {
    const { config, sources } = settings({ file, variables, argv: ['--use-env-proxy'] });
    expect(config).toMatchObject({
      routeMode: 'upstream_http',
      upstreamHttpProxy: { host: 'p.test', port: 3128 },
      noProxy: ['a.test'],
    });
    expect(config.reverseUpstream).toBeUndefined();
    expect(() => createMitmProxy({ config })).not.toThrow();
    expect(sources.get('noProxy')).toBe('--use-env-proxy');
  });

  test('may be none', () => {
    expect(settings({ file, argv: ['--use-env-proxy'] }).config).toMatchObject(file);
  });
});
