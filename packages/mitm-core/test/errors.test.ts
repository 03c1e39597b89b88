// What callers may rely on in our errors: the code, the class, the cause and the facts beside the message.
import { describe, expect, test } from 'vitest';

import { ConfigError, MitmError, mitmErrorCodes, ReloadError } from '../src/errors.ts';

describe('MitmError', () => {
  test('carries its code, message and cause', () => {
    const cause = new Error('EADDRINUSE');
    const error = new MitmError('ERR_MITM_LISTEN_FAILED', 'cannot listen on 127.0.0.1:80', { cause });
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({
      name: 'MitmError',
      code: 'ERR_MITM_LISTEN_FAILED',
      message: 'cannot listen on 127.0.0.1:80',
      cause,
    });
  });

  test.each(Object.entries(mitmErrorCodes))('%s has a meaning in whole sentences', (code, meaning) => {
    expect(code).toMatch(/^ERR_MITM_[A-Z_]+$/u);
    expect(meaning).toMatch(/^[A-Z].*\.$/u);
  });
});

describe('ConfigError', () => {
  test('lists every problem with path, rule and received value', () => {
    const problems = [
      { path: 'bind', message: 'must be an address', received: "'x'" },
      { path: '', message: 'must be an object' },
    ];
    const error = new ConfigError(problems);
    expect(error).toBeInstanceOf(MitmError);
    expect(error.code).toBe('ERR_MITM_CONFIG_INVALID');
    expect(error.name).toBe('ConfigError');
    expect(error.problems).toBe(problems);
    expect(error.message.split('\n')).toEqual([
      'Invalid configuration, 2 problems:',
      "  bind: must be an address (received 'x')",
      '  configuration: must be an object',
    ]);
  });

  test('counts a single problem in words', () => {
    expect(new ConfigError([{ path: 'bind', message: 'is wrong' }]).message).toMatch(/, one problem:\n/u);
  });
});

describe('ReloadError', () => {
  test('names the keys that need a restart', () => {
    const error = new ReloadError(['bind', 'tls.caKeyPath']);
    expect(error).toBeInstanceOf(MitmError);
    expect(error).toMatchObject({
      name: 'ReloadError',
      code: 'ERR_MITM_RELOAD_REQUIRES_RESTART',
      keys: ['bind', 'tls.caKeyPath'],
    });
    expect(error.message).toContain('bind, tls.caKeyPath');
  });
});
