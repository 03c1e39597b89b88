import { CaError, ConfigError, MitmError, ReloadError } from 'soth-mitm';
import { describe, expect, test } from 'vitest';

import { CaTrustError } from '../src/ca-command.ts';
import { ConfigFileError } from '../src/config-file.ts';
import { EnvironmentError } from '../src/environment.ts';
import { explainFailure, SelfCheckError } from '../src/exit-reason.ts';
import { UsageError } from '../src/usage.ts';

describe('what ended the program decides the class', () => {
  test.each<readonly [string, unknown, string]>([
    ['bad usage', new UsageError('x'), 'config_invalid'],
    ['an unreadable configuration', new ConfigFileError('x'), 'config_invalid'],
    ['an invalid configuration', new ConfigError([{ path: 'a', message: 'b' }]), 'config_invalid'],
    ['a reload that needs a restart', new ReloadError(['bind']), 'config_invalid'],
    ['a bad number in the environment', new EnvironmentError('x'), 'event_sink_init_failed'],
    ['the event log', new MitmError('ERR_MITM_EVENT_LOG_FAILED', 'x'), 'event_sink_init_failed'],
    ['the CA', new MitmError('ERR_MITM_CA_LOAD_FAILED', 'x'), 'sidecar_init_failed'],
    ['a file of the CA', new CaError('IO', 'x'), 'sidecar_init_failed'],
    ['what the system trusts', new CaTrustError('x'), 'ca_trust_failed'],
    ['the listener', new MitmError('ERR_MITM_LISTEN_FAILED', 'x'), 'runtime_failed'],
    ['the self-check', new SelfCheckError('x'), 'runtime_failed'],
    ['a code without a row, at the start', new MitmError('ERR_MITM_TASK_FAILED', 'x'), 'sidecar_init_failed'],
    ['anything else, at the start', new Error('x'), 'sidecar_init_failed'],
    ['what is no error', 'x', 'sidecar_init_failed'],
  ])('%s', (_rule, error, exitClass) => {
    expect(explainFailure(error, { wasRunning: false }).exitClass).toBe(exitClass);
  });

  test('anything else, while running', () => {
    expect(explainFailure(new Error('x'), { wasRunning: true }).exitClass).toBe('runtime_failed');
  });
});

test('each problem of a configuration has its line, with path, source and value', () => {
  const error = new ConfigError([
    { path: 'bind', message: 'is not an address', received: "'x'" },
    { path: 'interception.destinations[1]', message: 'has no port' },
    { path: '', message: 'must be an object' },
  ]);
  const sources = new Map([
    ['bind', '--listen'],
    ['interception.destinations', '--intercept'],
  ]);
  expect(explainFailure(error, { wasRunning: false, sources }).lines).toEqual([
    'the configuration has 3 problems:',
    "  bind (from --listen): is not an address (received 'x')",
    '  interception.destinations[1] (from --intercept): has no port',
    '  configuration: must be an object',
  ]);
});

test('a single problem is counted in words', () => {
  const error = new ConfigError([{ path: 'bind', message: 'is wrong' }]);
  expect(explainFailure(error, { wasRunning: false }).lines[0]).toBe('the configuration has a problem:');
});

test('a line has no line break of its own', () => {
  const error = new MitmError('ERR_MITM_CA_LOAD_FAILED', 'first\n  second');
  expect(explainFailure(error, { wasRunning: false }).lines).toEqual(['first second']);
});

test('an event log that cannot be opened says what to do', () => {
  const cause = new Error('the event log cannot use "/a/b"');
  const error = new MitmError('ERR_MITM_EVENT_LOG_FAILED', 'open_failed: …', { cause });
  expect(explainFailure(error, { wasRunning: false }).lines).toEqual([
    'the event log cannot use "/a/b": choose a path in a folder that can be written to',
  ]);
});

test('a key of the event log that can’t be used is not a folder to choose', () => {
  const cause = Object.assign(new Error('the event log cannot use "/a/key"'), { code: 'key_unusable' });
  const error = new MitmError('ERR_MITM_EVENT_LOG_FAILED', 'key_unusable: …', { cause });
  expect(explainFailure(error, { wasRunning: false }).lines).toEqual([
    'the event log cannot use "/a/key": its key has to be a file of at least 32 bytes that this user can read',
  ]);
});

test('what nobody expected comes with its stack', () => {
  const { lines } = explainFailure(new TypeError('odd'), { wasRunning: true });
  expect(lines[1]).toBe('TypeError: odd');
  expect(lines.length).toBeGreaterThan(2);
});
