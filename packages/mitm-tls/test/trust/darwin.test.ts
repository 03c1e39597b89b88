// The commands for macOS, by the manual page of security(1), with its output as it is documented.
import { describe, expect, test } from 'vitest';

import { installIn, isTrustedIn, removeFrom } from '../../src/trust/change.ts';
import { darwinPlace } from '../../src/trust/darwin.ts';
import { RecordedMachine, type RecordedMachineOptions, subject } from './recorded-machine.ts';

const copy = '/h/.soth-mitm/macos/soth-mitm-f0f0f0f0f0f0f0f0.pem';
const asked = '/h/.soth-mitm/macos/soth-mitm-f0f0f0f0f0f0f0f0-asked.pem';
const system = darwinPlace(subject, { store: 'system', home: '/h', stateFolder: '/h/.soth-mitm' });
const user = darwinPlace(subject, { store: 'user', home: '/h', stateFolder: '/h/.soth-mitm' });

function mac(answer: RecordedMachineOptions['answer'] = () => ({})): RecordedMachine {
  return new RecordedMachine({ platform: 'darwin', answer });
}

describe('install', () => {
  test('in the settings of the administrator, with the System keychain', async () => {
    const machine = mac();
    await installIn(system, { machine, operation: 'install_ca_trust' });
    expect(machine.lines).toEqual([
      `write with folder ${copy}`,
      `/usr/bin/security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain ${copy}`,
    ]);
    expect(machine.files.get(copy)).toBe(subject.pem);
  });

  test('in the settings of the user, with the login keychain', async () => {
    const machine = mac();
    await installIn(user, { machine, operation: 'install_ca_trust' });
    expect(machine.lines[1]).toBe(
      `/usr/bin/security add-trusted-cert -r trustRoot -k /h/Library/Keychains/login.keychain-db ${copy}`,
    );
  });

  test('refused, it leaves no copy and says so', async () => {
    const machine = mac(() => ({
      code: 1,
      stderr:
        'SecTrustSettingsSetTrustSettings: The authorization was denied since no user interaction was possible.\n',
    }));
    await expect(installIn(system, { machine, operation: 'install_ca_trust' })).rejects.toMatchObject({
      code: 'PERMISSION_DENIED',
      message: expect.stringContaining('as root') as unknown,
    });
    expect([...machine.files]).toEqual([]);
  });
});

describe('remove', () => {
  test('takes the settings, the certificate and the copy', async () => {
    const machine = mac();
    await removeFrom(system, { machine, operation: 'uninstall_ca_trust' });
    expect(machine.lines).toEqual([
      `write with folder ${copy}`,
      `/usr/bin/security remove-trusted-cert -d ${copy}`,
      `/usr/bin/security delete-certificate -Z ${'AB'.repeat(20)} /Library/Keychains/System.keychain`,
      `remove ${copy}`,
    ]);
  });

  test('of what is not there is done', async () => {
    const machine = mac((line) => ({
      code: line.includes('delete-certificate') ? 44 : 1,
      stderr: line.includes('delete-certificate')
        ? `Unable to delete certificate matching "${'AB'.repeat(20)}"security: SecKeychainSearchCopyNext: The specified item could not be found in the keychain.\n`
        : 'SecTrustSettingsRemoveTrustSettings: The specified item could not be found in the keychain.\n',
    }));
    await removeFrom(user, { machine, operation: 'uninstall_ca_trust' });
    expect(machine.lines).toHaveLength(4);
  });
});

describe('whether it is trusted', () => {
  test.each([
    ['a certificate that verifies', { stdout: '...certificate verification successful.\n' }, true],
    ['one that does not', { code: 1, stderr: 'Cert Verify Result: CSSMERR_TP_NOT_TRUSTED\n' }, false],
  ])('%s', async (_name, answer, expected) => {
    const machine = mac(() => answer);
    expect(await isTrustedIn(system, subject, { machine, operation: 'is_ca_trusted' })).toBe(expected);
    expect(machine.lines).toEqual([
      `write with folder ${asked}`,
      `/usr/bin/security verify-cert -c ${asked} -l -L`,
      `remove ${asked}`,
    ]);
  });

  test('an answer of another kind is an error', async () => {
    const machine = mac(() => ({ code: 2, stderr: 'usage: security' }));
    await expect(isTrustedIn(user, subject, { machine, operation: 'is_ca_trusted' })).rejects.toMatchObject({
      code: 'OPERATION_FAILED',
    });
    expect([...machine.files]).toEqual([]);
  });
});
