// NSS databases for real, in a home folder of the test's own, with certutil as the tool and as the judge: whether it takes a
// certificate that the CA has signed for that of a server.
import { generateKeyPairSync } from 'node:crypto';
import { chmod, mkdir, readdir } from 'node:fs/promises';

import { beforeEach, describe, expect, test } from 'vitest';

import { hasCommand } from '../../../../testing/lab/clients.ts';
import { runProgram } from '../../../../testing/lab/programs.ts';
import { type TemporaryDirectory, temporaryDirectory } from '../../../../testing/lab/temporary.ts';
import {
  caTrust,
  type CertificateAuthority,
  generateCa,
  installCaSystemTrust,
  isCaTrusted,
  LeafIssuer,
  thisMachine,
  type TrustChange,
  type TrustOptions,
  uninstallCaSystemTrust,
} from '../../src/index.ts';

const reason =
  process.platform === 'linux' && (await hasCommand('certutil')) ? undefined : 'no certutil of NSS on Linux';
const isRoot = process.getuid?.() === 0;

let ca: CertificateAuthority;
beforeEach(async () => {
  ca = await generateCa();
});

function atHome(home: TemporaryDirectory): TrustOptions {
  return { stores: ['nss'], machine: { ...thisMachine(), home: home.path } };
}

async function certutil(folder: string, args: readonly string[], input = ''): Promise<string> {
  const [action = '', ...rest] = args;
  const result = await runProgram('certutil', [action, '-d', `sql:${folder}`, ...rest], {
    input: Buffer.from(input),
  });
  return `${result.stdout.toString()}${result.stderr}`.trim();
}

async function makeDatabase(folder: string, password?: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await certutil(folder, ['-N', ...(password === undefined ? ['--empty-password'] : ['-f', password])]);
}

async function changed(change: Promise<readonly TrustChange[]>): Promise<readonly boolean[]> {
  return (await change).map(({ hasChanged }) => hasChanged);
}

describe.skipIf(reason !== undefined)(`NSS${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  test('servers with a certificate of the CA are accepted from installation to removal', async () => {
    await using home = await temporaryDirectory();
    const folder = home.resolve('.pki/nssdb');
    await makeDatabase(folder);
    const leafKey = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const { certificatePem } = new LeafIssuer(ca, leafKey).issue(['server.test']);
    const judge = async (): Promise<string> => {
      await certutil(folder, ['-A', '-n', 'leaf', '-t', ',,', '-a'], certificatePem);
      const verdict = await certutil(folder, ['-V', '-n', 'leaf', '-u', 'V']);
      await certutil(folder, ['-D', '-n', 'leaf']);
      return verdict;
    };
    expect(await judge()).toContain('is invalid');
    expect(await installCaSystemTrust(ca, atHome(home))).toEqual([
      { store: 'nss', place: folder, isTrusted: true, hasChanged: true },
    ]);
    expect(await judge()).toContain('is valid');
    expect(await uninstallCaSystemTrust(ca, atHome(home))).toEqual([
      { store: 'nss', place: folder, isTrusted: false, hasChanged: true },
    ]);
    expect(await judge()).toContain('is invalid');
  });

  test('asked twice, nothing is done twice', async () => {
    await using home = await temporaryDirectory();
    await makeDatabase(home.resolve('.pki/nssdb'));
    expect(await changed(uninstallCaSystemTrust(ca, atHome(home)))).toEqual([false]);
    expect(await changed(installCaSystemTrust(ca, atHome(home)))).toEqual([true]);
    expect(await changed(installCaSystemTrust(ca, atHome(home)))).toEqual([false]);
    expect(await changed(uninstallCaSystemTrust(ca, atHome(home)))).toEqual([true]);
    expect(await changed(uninstallCaSystemTrust(ca, atHome(home)))).toEqual([false]);
  });

  test('a second CA of the same name takes nothing from the first', async () => {
    await using home = await temporaryDirectory();
    await makeDatabase(home.resolve('.pki/nssdb'));
    const next = await generateCa();
    await installCaSystemTrust(ca, atHome(home));
    await installCaSystemTrust(next, atHome(home));
    expect([await isCaTrusted(ca, atHome(home)), await isCaTrusted(next, atHome(home))]).toEqual([
      true,
      true,
    ]);
    await uninstallCaSystemTrust(ca, atHome(home));
    expect([await isCaTrusted(ca, atHome(home)), await isCaTrusted(next, atHome(home))]).toEqual([
      false,
      true,
    ]);
  });

  test('every profile of Firefox is asked and served, and none that has no database', async () => {
    await using home = await temporaryDirectory();
    const folders = ['a.default', 'b.work'].map((name) => home.resolve('.mozilla/firefox', name));
    for (const folder of folders) await makeDatabase(folder);
    await mkdir(home.resolve('.mozilla/firefox/c.empty'));
    await installCaSystemTrust(ca, atHome(home));
    expect(await caTrust(ca, atHome(home))).toEqual(
      folders.map((place) => ({ store: 'nss', place, isTrusted: true })),
    );
    expect(await readdir(home.resolve('.mozilla/firefox/c.empty'))).toEqual([]);
  });

  test('without any database, asking makes none, and installing makes that of Chromium', async () => {
    await using home = await temporaryDirectory();
    expect(await isCaTrusted(ca, atHome(home))).toBe(false);
    expect(await readdir(home.path)).toEqual([]);
    await installCaSystemTrust(ca, atHome(home));
    expect(await readdir(home.resolve('.pki/nssdb'))).toContain('cert9.db');
    expect(await isCaTrusted(ca, atHome(home))).toBe(true);
  });

  test('a database with a password refuses, and nothing is left in it', async () => {
    await using home = await temporaryDirectory();
    const folder = home.resolve('.pki/nssdb');
    await makeDatabase(folder, await home.write('password', 'secret\n'));
    const before = await certutil(folder, ['-L']);
    await expect(installCaSystemTrust(ca, atHome(home))).rejects.toMatchObject({
      code: 'PERMISSION_DENIED',
      message: expect.stringMatching(/^install_ca_trust: certutil .*SEC_ERROR_BAD_PASSWORD/s) as unknown,
    });
    expect(await certutil(folder, ['-L'])).toBe(before);
  });

  test.skipIf(isRoot)('a database that may not be written refuses', async () => {
    await using home = await temporaryDirectory();
    const folder = home.resolve('.pki/nssdb');
    await makeDatabase(folder);
    await chmod(folder, 0o555);
    await expect(installCaSystemTrust(ca, atHome(home))).rejects.toMatchObject({ code: 'PERMISSION_DENIED' });
  });
});
