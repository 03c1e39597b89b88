import { describe, expect, test } from 'vitest';

import { commandError, fileError, leftoverError, saidBy, startError } from '../../src/trust/errors.ts';
import { systemError } from './recorded-machine.ts';

const install = { operation: 'install_ca_trust', machine: { platform: 'linux' } } as const;
const onWindows = { operation: 'uninstall_ca_trust', machine: { platform: 'win32' } } as const;
const command = { program: 'certutil', args: ['-A', '-n', 'x'], comesWith: 'libnss3-tools' };
const silent = { code: 1, stdout: '', stderr: '' };

describe('a program that does not start', () => {
  test.each([
    ['is missing', 'ENOENT', 'UNSUPPORTED_OPERATION', 'install libnss3-tools'],
    ['may not be run', 'EACCES', 'PERMISSION_DENIED', 'may not run certutil (EACCES)'],
    ['was ended', 'ABORT_ERR', 'OPERATION_FAILED', 'did not come to its end'],
  ])('%s', (_name, systemCode, code, message) => {
    const cause = systemError(systemCode);
    expect(startError(command, cause, install)).toMatchObject({
      code,
      cause,
      message: expect.stringContaining(message) as unknown,
    });
  });

  test('that comes with the system is not to be installed', () => {
    const { message } = startError(
      { program: '/usr/bin/security', args: [] },
      systemError('ENOENT'),
      install,
    );
    expect(message).toBe(
      'install_ca_trust: the program /usr/bin/security is not there: it should come with the system',
    );
  });
});

describe('a program that failed', () => {
  test('is quoted in one line, and not at length', () => {
    const stderr = 'one\n\n  two\nthree\nfour\nfive\n';
    expect(commandError(command, { ...silent, stderr }, install)).toMatchObject({
      code: 'OPERATION_FAILED',
      message: 'install_ca_trust: certutil -A -n x ended with 1: one; two; three; four',
    });
  });

  test('without a word is told so', () => {
    expect(commandError(command, silent, install).message).toMatch(/ended with 1: it said nothing$/);
  });

  test.each([
    ['SEC_ERROR_READ_ONLY: security library: read-only database.'],
    [
      'certutil: could not authenticate to token: SEC_ERROR_BAD_PASSWORD: The security password entered is incorrect.',
    ],
    ['SecKeychainItemImport: User interaction is not allowed.'],
    [
      'SecTrustSettingsSetTrustSettings: The authorization was denied since no user interaction was possible.',
    ],
    ['CertUtil: -addstore command FAILED: 0x80070005 (WIN32: 5 ERROR_ACCESS_DENIED)'],
    ['mktemp: Permission denied'],
  ])('is a refusal when it says: %s', (stdout) => {
    expect(commandError(command, { ...silent, stdout }, onWindows)).toMatchObject({
      code: 'PERMISSION_DENIED',
      message: expect.stringMatching(/^uninstall_ca_trust: .+: run it as an administrator$/) as unknown,
    });
  });
});

describe('a file', () => {
  test.each(['EACCES', 'EPERM', 'EROFS'])('that is denied by %s', (systemCode) => {
    expect(fileError('/etc/x', systemError(systemCode), install)).toMatchObject({
      code: 'PERMISSION_DENIED',
      path: '/etc/x',
      message: `install_ca_trust: this user has no permission for /etc/x (${systemCode}): run it as root, for instance with sudo`,
    });
  });

  test('whose folder is missing tells what brings it', () => {
    expect(fileError('/a/x', systemError('ENOENT'), install, 'the package p')).toMatchObject({
      code: 'UNSUPPORTED_OPERATION',
      message: expect.stringContaining('install the package p') as unknown,
    });
  });

  test('that fails otherwise names the fault', () => {
    expect(fileError('/a/x', systemError('ENOSPC'), install)).toMatchObject({
      code: 'IO',
      message: expect.stringContaining('ENOSPC') as unknown,
    });
  });
});

test('what could not be taken back is told with what had failed', () => {
  const error = leftoverError(new Error('no room'), new Error('no way'));
  expect(error.code).toBe('OPERATION_FAILED');
  expect(error.message).toBe('no room; what was begun could not be taken back: no way');
  expect(error.cause).toBeInstanceOf(AggregateError);
});

test('what a program said is what it complained of, then its output', () => {
  expect(saidBy({ code: 0, stdout: 'out', stderr: 'err' })).toBe('err\nout');
});
