import { describe, expect, test } from 'vitest';

import type { TrustStore } from '../../src/trust/place.ts';
import { placesFor } from '../../src/trust/places.ts';
import { RecordedMachine, type RecordedMachineOptions, subject } from './recorded-machine.ts';

const debian = { '/etc/os-release': 'ID=debian\n' };

async function names(
  options: RecordedMachineOptions,
  stores: readonly TrustStore[],
): Promise<readonly string[]> {
  const machine = new RecordedMachine(options);
  const places = await placesFor(subject, stores, { machine, operation: 'install_ca_trust' });
  return places.map(({ store, name }) => `${store} ${name}`);
}

describe('the places of', () => {
  test.each<[string, RecordedMachineOptions, readonly TrustStore[], readonly string[]]>([
    [
      'Debian',
      { platform: 'linux', files: debian },
      ['system', 'nss', 'system'],
      ['system /etc/ssl/certs/ca-certificates.crt', 'nss /h/.pki/nssdb'],
    ],
    [
      'Fedora',
      { platform: 'linux', files: { '/etc/os-release': 'ID=fedora\n' } },
      ['system'],
      ['system /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem'],
    ],
    [
      'a user with browsers',
      { platform: 'linux', files: { '/h/.pki/nssdb/cert9.db': '', '/h/.mozilla/firefox/a/cert9.db': '' } },
      ['nss'],
      ['nss /h/.pki/nssdb', 'nss /h/.mozilla/firefox/a'],
    ],
    [
      'macOS',
      { platform: 'darwin' },
      ['system', 'user'],
      ['system /Library/Keychains/System.keychain', 'user /h/Library/Keychains/login.keychain-db'],
    ],
    [
      'Windows',
      { platform: 'win32', home: String.raw`C:\h` },
      ['user', 'system'],
      [String.raw`user CurrentUser\Root`, String.raw`system LocalMachine\Root`],
    ],
  ])('%s', async (_name, options, stores, expected) => {
    expect(await names(options, stores)).toEqual(expected);
  });
});

describe('there is none', () => {
  test.each<[string, RecordedMachineOptions, TrustStore, string]>([
    ['for a user of Linux', { platform: 'linux', files: debian }, 'user', 'use system or nss'],
    ['of NSS on Windows', { platform: 'win32' }, 'nss', 'use system or user'],
    ['on another system', { platform: 'freebsd' }, 'system', 'by hand'],
    [
      'on another Linux',
      { platform: 'linux', files: { '/etc/os-release': 'ID=arch\n' } },
      'system',
      'by hand',
    ],
    ['on a Linux that does not say what it is', { platform: 'linux' }, 'system', '/etc/os-release'],
  ])('%s', async (_name, options, store, message) => {
    await expect(names(options, [store])).rejects.toMatchObject({
      code: 'UNSUPPORTED_OPERATION',
      message: expect.stringMatching(new RegExp(`^install_ca_trust: .*${message}`)) as unknown,
    });
  });
});

describe('the environment', () => {
  test('may keep the anchor of Linux elsewhere', async () => {
    const environment = { SOTH_MITM_LINUX_CA_PATH: '/opt/a.crt' };
    const machine = new RecordedMachine({ platform: 'linux', files: debian, environment });
    const [place] = await placesFor(subject, ['system'], { machine, operation: 'install_ca_trust' });
    expect(place?.undo).toEqual([{ kind: 'delete', path: '/opt/a.crt' }]);
  });

  test.each([
    ['as told', '/state', '/state/macos/soth-mitm-f0f0f0f0f0f0f0f0.pem'],
    ['below the home folder when blank', ' ', '/h/.soth-mitm/macos/soth-mitm-f0f0f0f0f0f0f0f0.pem'],
  ])('keeps copies %s', async (_name, folder, path) => {
    const machine = new RecordedMachine({ platform: 'darwin', environment: { SOTH_MITM_STATE_DIR: folder } });
    const [place] = await placesFor(subject, ['user'], { machine, operation: 'install_ca_trust' });
    expect(place?.undo).toEqual([{ kind: 'delete', path }]);
  });

  test('tells where Windows is', async () => {
    const environment = { SystemRoot: String.raw`D:\Win` };
    const machine = new RecordedMachine({ platform: 'win32', environment });
    const [place] = await placesFor(subject, ['user'], { machine, operation: 'install_ca_trust' });
    expect(place?.remove[0]).toMatchObject({
      command: { program: String.raw`D:\Win\System32\certutil.exe` },
    });
  });
});
