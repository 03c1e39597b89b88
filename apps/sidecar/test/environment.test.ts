import { expect, test } from 'vitest';

import { EnvironmentError, environmentNames, positiveNumber, readEnvironment } from '../src/environment.ts';

test('the names are those of the original, and three have joined', () => {
  expect(environmentNames).toEqual({
    statusPath: 'SOTH_MITM_AUTOMATION_STATUS_PATH',
    eventLogPath: 'SOTH_MITM_EVENT_LOG_V2_PATH',
    flushEvery: 'SOTH_MITM_EVENT_LOG_V2_FLUSH_EVERY',
    rotateBytes: 'SOTH_MITM_EVENT_LOG_V2_ROTATE_BYTES',
    caKeyPassphrase: 'SOTH_MITM_CA_KEY_PASSPHRASE',
    keyLogPath: 'SSLKEYLOGFILE',
    hmacKeyPath: 'SOTH_MITM_EVENT_LOG_V2_HMAC_KEY_PATH',
  });
});

test('a passphrase is taken with its blanks, and an empty one is none', () => {
  const read = [' a b ', ''].map(
    (SOTH_MITM_CA_KEY_PASSPHRASE) => readEnvironment({ SOTH_MITM_CA_KEY_PASSPHRASE }).caKeyPassphrase,
  );
  expect(read).toEqual([' a b ', undefined]);
});

test.each([
  ['unset', {}, undefined],
  ['empty is unset', { SOTH_MITM_EVENT_LOG_V2_PATH: '' }, undefined],
  ['blank is unset', { SOTH_MITM_EVENT_LOG_V2_PATH: ' \t' }, undefined],
  ['set, without the blanks around it', { SOTH_MITM_EVENT_LOG_V2_PATH: ' log.jsonl ' }, 'log.jsonl'],
])('a path: %s', (_rule, variables, path) => {
  expect(readEnvironment(variables).eventLogPath).toBe(path);
});

test.each([
  ['unset', {}, undefined],
  ['blank', { SOTH_MITM_EVENT_LOG_V2_FLUSH_EVERY: ' ' }, undefined],
  ['a number', { SOTH_MITM_EVENT_LOG_V2_FLUSH_EVERY: ' 20 ' }, 20],
])('a number: %s', (_rule, variables, value) => {
  expect(positiveNumber('flushEvery', readEnvironment(variables))).toBe(value);
});

test.each(['0', '-1', '1.5', 'ten', '1e3', '0x10', '99999999999999999999'])(
  'a number that is %s is refused by the name of its variable',
  (text) => {
    const environment = readEnvironment({ SOTH_MITM_EVENT_LOG_V2_ROTATE_BYTES: text });
    const attempt = (): unknown => positiveNumber('rotateBytes', environment);
    expect(attempt).toThrow(EnvironmentError);
    expect(attempt).toThrow(`SOTH_MITM_EVENT_LOG_V2_ROTATE_BYTES is "${text}"`);
  },
);
