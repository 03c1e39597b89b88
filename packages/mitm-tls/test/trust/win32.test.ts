// The commands for Windows, with the output of certutil.exe as its documentation and users show it.
import { describe, expect, test } from 'vitest';

import { installIn, isTrustedIn, removeFrom } from '../../src/trust/change.ts';
import { windowsPlace } from '../../src/trust/win32.ts';
import { RecordedMachine, type RecordedMachineOptions, subject } from './recorded-machine.ts';

const folders = { systemRoot: String.raw`C:\Windows`, stateFolder: String.raw`C:\h\.soth-mitm` };
const program = String.raw`C:\Windows\System32\certutil.exe`;
const copy = String.raw`C:\h\.soth-mitm\windows\soth-mitm-f0f0f0f0f0f0f0f0.pem`;
const system = windowsPlace(subject, { store: 'system', ...folders });
const user = windowsPlace(subject, { store: 'user', ...folders });

function windows(answer: RecordedMachineOptions['answer'] = () => ({})): RecordedMachine {
  return new RecordedMachine({ platform: 'win32', answer });
}

describe('install', () => {
  test('in the store of the machine', async () => {
    const machine = windows();
    await installIn(system, { machine, operation: 'install_ca_trust' });
    expect(machine.lines).toEqual([`write with folder ${copy}`, `${program} -f -addstore Root ${copy}`]);
  });

  test('in the store of the user', async () => {
    const machine = windows();
    await installIn(user, { machine, operation: 'install_ca_trust' });
    expect(machine.lines[1]).toBe(`${program} -user -f -addstore Root ${copy}`);
  });

  test.each([
    [
      'without the rights of an administrator',
      'CertUtil: -addstore command FAILED: 0x80070005 (WIN32: 5 ERROR_ACCESS_DENIED)\r\nCertUtil: Access is denied.\r\n',
    ],
    [
      'when the user says no',
      'CertUtil: -addstore FAILED: 0x800704c7 (WIN32: 1223 ERROR_CANCELLED)\r\nCertUtil: Der Vorgang wurde abgebrochen.\r\n',
    ],
  ])('%s it is refused, and leaves no copy', async (_name, stdout) => {
    const machine = windows(() => ({ code: 2_147_942_405, stdout }));
    await expect(installIn(system, { machine, operation: 'install_ca_trust' })).rejects.toMatchObject({
      code: 'PERMISSION_DENIED',
      message: expect.stringContaining('as an administrator') as unknown,
    });
    expect([...machine.files]).toEqual([]);
  });
});

describe('remove', () => {
  test('goes by the thumbprint', async () => {
    const machine = windows();
    await removeFrom(user, { machine, operation: 'uninstall_ca_trust' });
    expect(machine.lines).toEqual([
      `${program} -user -delstore Root ${subject.thumbprint}`,
      `remove ${copy}`,
    ]);
  });

  test('of what is not there is done', async () => {
    const machine = windows(() => ({
      code: 2_148_073_489,
      stdout: 'CertUtil: -delstore command FAILED: 0x80090011 (-2146893807 NTE_NOT_FOUND)\r\n',
    }));
    await removeFrom(system, { machine, operation: 'uninstall_ca_trust' });
    expect(machine.lines).toHaveLength(2);
  });
});

function listed(hash: string): string {
  return `Root "Trusted Root Certification Authorities"\r\n================ Certificate 0 ================\r\nCert Hash(sha1): ${hash}\r\nCertUtil: -store command completed successfully.\r\n`;
}

describe('whether it is trusted', () => {
  test.each([
    ['listed', { stdout: listed(subject.thumbprint) }, true],
    ['listed by an older release', { stdout: listed('AB '.repeat(20).trim()) }, true],
    ['another one is listed', { stdout: listed('cd'.repeat(20)) }, false],
    [
      'nothing is listed',
      { code: 2_148_073_489, stdout: 'CertUtil: -store command FAILED: 0x80090011 (NTE_NOT_FOUND)\r\n' },
      false,
    ],
    [
      'nothing is listed, as older releases say it',
      { code: 2_148_081_668, stdout: 'CertUtil: -store FEHLER: 0x80092004 (CRYPT_E_NOT_FOUND)\r\n' },
      false,
    ],
  ])('%s', async (_name, answer, expected) => {
    const machine = windows(() => answer);
    expect(await isTrustedIn(system, subject, { machine, operation: 'is_ca_trusted' })).toBe(expected);
    expect(machine.lines).toEqual([`${program} -store Root ${subject.thumbprint}`]);
  });

  test('an answer of another kind is an error', async () => {
    const machine = windows(() => ({ code: 1, stdout: 'CertUtil: Unknown arg\r\n' }));
    await expect(isTrustedIn(user, subject, { machine, operation: 'is_ca_trusted' })).rejects.toMatchObject({
      code: 'OPERATION_FAILED',
    });
  });
});
