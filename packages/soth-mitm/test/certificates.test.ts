import { readFileSync } from 'node:fs';

import { parseConfig } from 'mitm-core';
import { describe, expect, test } from 'vitest';

import { type TemporaryDirectory, temporaryDirectory } from '../../../testing/lab/temporary.ts';
import { certificatesOf, prepareCertificates, rotationOf } from '../src/certificates.ts';
import { generateCa } from '../src/index.ts';

function configIn(folder: TemporaryDirectory, tls: object = {}) {
  return parseConfig({
    interception: { destinations: ['*:*'] },
    tls: { caCertPath: folder.resolve('ca.pem'), caKeyPath: folder.resolve('ca-key.pem'), ...tls },
  });
}

describe('what a proxy signs with', () => {
  test('is made with the configured names where no files are, and found again the next time', async () => {
    await using folder = await temporaryDirectory();
    const config = configIn(folder, { caCommonName: 'Team CA', caOrganization: 'Team' });
    const first = await certificatesOf(config, undefined);
    expect(first.ca.subject).toContain('Team CA');
    const second = await certificatesOf(config, undefined);
    expect(second.ca.fingerprint).toBe(first.ca.fingerprint);
  });

  test('is the given authority, and no file is touched', async () => {
    await using folder = await temporaryDirectory();
    const ca = await generateCa();
    const store = await certificatesOf(configIn(folder), ca);
    expect(store.ca).toBe(ca);
    const other = await certificatesOf(configIn(folder), undefined);
    expect(other.ca.fingerprint).not.toBe(ca.fingerprint);
  });

  test('that can not be read is an error with the file and the fix', async () => {
    await using folder = await temporaryDirectory();
    await folder.write('ca.pem', 'not a certificate');
    await folder.write('ca-key.pem', 'not a key');
    await expect(certificatesOf(configIn(folder), undefined)).rejects.toMatchObject({
      code: 'ERR_MITM_CA_LOAD_FAILED',
    });
  });
});

describe('a passphrase', () => {
  test.each(['caKeyPassphrase', 'caKeyPassphraseFile'] as const)('from %s opens the key', async (field) => {
    await using folder = await temporaryDirectory();
    const secret = 'correct horse';
    const value = field === 'caKeyPassphrase' ? secret : await folder.write('secret', `${secret}\n`);
    const config = configIn(folder, { [field]: value });
    const first = await certificatesOf(config, undefined);
    expect(readFileSync(folder.resolve('ca-key.pem'), 'utf8')).toContain('ENCRYPTED PRIVATE KEY');
    expect((await certificatesOf(config, undefined)).ca.fingerprint).toBe(first.ca.fingerprint);
  });

  test.each([
    ['missing', {}, /is encrypted: give its passphrase/],
    ['wrong', { caKeyPassphrase: 'battery staple' }, /cannot be decrypted with the passphrase/],
    [
      'in a file that is not there',
      { caKeyPassphraseFile: '/nowhere/secret' },
      /read_ca_passphrase: \/nowhere/,
    ],
  ])('that is %s is an error that does not show it', async (_rule, given, message) => {
    await using folder = await temporaryDirectory();
    await certificatesOf(configIn(folder, { caKeyPassphrase: 'correct horse' }), undefined);
    const attempt = certificatesOf(configIn(folder, given), undefined);
    await expect(attempt).rejects.toMatchObject({ code: 'ERR_MITM_CA_LOAD_FAILED' });
    await expect(attempt).rejects.toThrow(message);
    await expect(attempt).rejects.not.toThrow(/battery|correct/);
  });
});

function onNotice(): void {}

describe('rotation', () => {
  test('of an authority by age is refused where it is not ours to replace', async () => {
    await using folder = await temporaryDirectory();
    const config = configIn(folder);
    const given = await generateCa();
    const store = await certificatesOf(config, given);
    await folder.write('both.pem', given.privateKeyPem() + given.certificatePem);
    const both = folder.resolve('both.pem');
    const aged = configIn(folder, { caCertPath: both, caKeyPath: both, caRotateAfterSeconds: 1 });
    await expect(rotationOf(aged, store, { given: undefined, onNotice })).rejects.toMatchObject({
      code: 'ERR_MITM_CA_LOAD_FAILED',
    });
  });

  test('by age leaves an authority alone that the program passed', async () => {
    await using folder = await temporaryDirectory();
    const given = await generateCa({ now: new Date(Date.now() - 10_000) });
    const config = configIn(folder, { caRotateAfterSeconds: 1, caRotateOverlapSeconds: 0 });
    const store = await certificatesOf(config, given);
    await rotationOf(config, store, { given, onNotice });
    await store.contextFor(['a.test']);
    expect(store.ca).toBe(given);
  });

  test('and settings follow a reload', async () => {
    await using folder = await temporaryDirectory();
    const config = configIn(folder);
    const store = await certificatesOf(config, undefined);
    const rotation = await rotationOf(config, store, { given: undefined, onNotice });
    const crlUrl = 'http://proxy.test/ca.crl';
    const apply = prepareCertificates(configIn(folder, { crlUrl }), store, rotation);
    const before = await store.contextFor(['a.test']);
    apply();
    const after = await store.contextFor(['a.test']);
    const naming = [before, after].map(({ leaf }) => leaf.certificateDer.includes(crlUrl));
    expect(naming).toEqual([false, true]);
  });
});
