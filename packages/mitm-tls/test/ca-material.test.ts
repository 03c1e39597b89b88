// Authorities as their owners have them: every form that is taken, and what each refusal says.
import { generateKeyPairSync, X509Certificate } from 'node:crypto';

import { describe, expect, test } from 'vitest';

import { loadCa } from '../src/ca-material.ts';
import { generateCa } from '../src/ca.ts';
import {
  type AuthorityOptions,
  dayMs,
  makeIntermediate,
  makeMaterial,
  type Material,
} from './authorities.ts';

describe('loadCa', () => {
  test('CA-12 what was generated is loaded: same PEMs, same fingerprint', async () => {
    const made = await generateCa();
    const loaded = loadCa(made.certificatePem, made.privateKeyPem());
    expect(loaded.certificatePem).toBe(made.certificatePem);
    expect(loaded.privateKeyPem()).toBe(made.privateKeyPem());
    expect(loaded.fingerprint).toBe(made.fingerprint);
    expect(loaded.fingerprint).toMatch(/^[0-9a-f]{64}$/);
  });

  test.each([
    ['EC P-256, PKCS#8', 'P-256', 'pkcs8'],
    ['EC P-256, SEC 1', 'P-256', 'sec1'],
    ['EC P-384, SEC 1', 'P-384', 'sec1'],
    ['EC P-521, PKCS#8', 'P-521', 'pkcs8'],
    ['RSA, PKCS#1', 'RSA-2048', 'pkcs1'],
  ] as const)('a key is taken as %s', async (_form, key, type) => {
    const material = await makeMaterial({ key });
    const keyPem = material.key.export({ type, format: 'pem' }).toString();
    expect(loadCa(material.certPem, keyPem).subject).toBe(`CN=Test CA ${key}`);
  });

  test('of several certificates the CA is the one that belongs to the key', async () => {
    const [first, second] = await Promise.all([makeMaterial(), makeMaterial()]);
    const ca = loadCa(`comment\n${second.certPem}\n${first.certPem}`, first.keyPem);
    expect(ca.fingerprint).toBe(
      new X509Certificate(first.certPem).fingerprint256.replaceAll(':', '').toLowerCase(),
    );
  });

  test.each<[string, AuthorityOptions, RegExp]>([
    ['a certificate that is no CA', { isCa: false }, /is no CA/],
    ['a CA that must not sign certificates', { keyUsage: 'digitalSignature' }, /keyCertSign/],
    ['an expired CA', { notAfter: new Date(Date.now() - 1000) }, /expired on .*make a new CA/],
    ['a CA of tomorrow', { notBefore: new Date(Date.now() + dayMs) }, /not valid before .*check the clock/],
    ['an RSA key of 1024 bits', { key: 'RSA-1024' }, /rsa 1024: use EC P-256, P-384 or P-521, or RSA/],
  ])('%s is refused', async (_rule, options, message) => {
    const { certPem, keyPem } = await makeMaterial(options);
    expect(() => loadCa(certPem, keyPem)).toThrow(expect.objectContaining({ code: 'INVALID_MATERIAL' }));
    expect(() => loadCa(certPem, keyPem)).toThrow(message);
  });

  test('refusals name the file and what to do', async () => {
    const { certPem, keyPem } = await makeMaterial();
    const other = await makeMaterial();
    const paths = { certPath: '/ca/cert.pem', keyPath: '/ca/key.pem' };
    const encrypted = other.key
      .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' })
      .toString();
    const broken = certPem.replace(/\n[^\n]{20}/, '\nAAAA');
    for (const [cert, key, path, message] of [
      ['', keyPem, paths.certPath, /holds no "BEGIN CERTIFICATE" block/],
      [broken, keyPem, paths.certPath, /cannot be read/],
      [certPem, '', paths.keyPath, /is no private key in PEM form/],
      [certPem, certPem, paths.keyPath, /is no private key in PEM form/],
      [certPem, encrypted, paths.keyPath, /is encrypted: give its passphrase/],
      [certPem, other.keyPem, paths.keyPath, /does not belong to the certificate \/ca\/cert.pem/],
    ] as const) {
      const load = (): unknown => loadCa(cert, key, paths);
      expect(load).toThrow(message);
      expect(load).toThrow(expect.objectContaining({ code: 'INVALID_MATERIAL', path }));
    }
  });

  test('an Ed25519 key is refused by name', async () => {
    const { certPem } = await makeMaterial();
    const keyPem = generateKeyPairSync('ed25519')
      .privateKey.export({ type: 'pkcs8', format: 'pem' })
      .toString();
    expect(() => loadCa(certPem, keyPem)).toThrow(/the CA key is ed25519: use/);
  });
});

describe('an encrypted key', () => {
  const passphrase = 'Übung macht den Meister';

  async function encryptedMaterial(type: 'pkcs8' | 'sec1' | 'pkcs1'): Promise<Material> {
    const material = await makeMaterial({ key: type === 'pkcs1' ? 'RSA-2048' : 'P-256' });
    const options = { type, format: 'pem', cipher: 'aes-256-cbc', passphrase } as const;
    return { ...material, keyPem: material.key.export(options).toString() };
  }

  test.each(['pkcs8', 'sec1', 'pkcs1'] as const)('as %s is opened by its passphrase', async (type) => {
    const { certPem, keyPem, key } = await encryptedMaterial(type);
    expect(loadCa(certPem, keyPem, { passphrase }).privateKey.equals(key)).toBe(true);
  });

  test.each(['pkcs8', 'sec1', 'pkcs1'] as const)('as %s is refused with another one', async (type) => {
    const { certPem, keyPem } = await encryptedMaterial(type);
    expect(() => loadCa(certPem, keyPem, { passphrase: 'wrong' })).toThrow(
      expect.objectContaining({
        code: 'INVALID_MATERIAL',
        message: expect.stringContaining('cannot be decrypted with the passphrase'),
      }),
    );
  });

  test('needs one, and the message holds none', async () => {
    const { certPem, keyPem } = await encryptedMaterial('pkcs8');
    expect(() => loadCa(certPem, keyPem)).toThrow(/is encrypted: give its passphrase/);
    const wrong = (): unknown => loadCa(certPem, keyPem, { passphrase: 'not-this-one' });
    expect(wrong).toThrow(expect.not.objectContaining({ message: expect.stringContaining('not-this-one') }));
  });

  test('a passphrase for a key that has none changes nothing', async () => {
    const { certPem, keyPem, key } = await makeMaterial();
    expect(loadCa(certPem, keyPem, { passphrase }).privateKey.equals(key)).toBe(true);
  });
});

describe('one file for both', () => {
  test.each(['key first', 'certificate first'])('%s', async (order) => {
    const { certPem, keyPem, key } = await makeMaterial();
    const text = order === 'key first' ? keyPem + certPem : certPem + keyPem;
    expect(loadCa(text, text).privateKey.equals(key)).toBe(true);
  });

  test('a key behind its curve parameters is found', async () => {
    const { certPem, key } = await makeMaterial();
    const sec1 = key.export({ type: 'sec1', format: 'pem' }).toString();
    const parameters = '-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n';
    expect(loadCa(certPem, parameters + sec1).privateKey.equals(key)).toBe(true);
  });
});

describe('an intermediate', () => {
  test('is sent with the authorities above it, whatever the order in the file, and without their root', async () => {
    const root = await makeMaterial();
    const upper = await makeIntermediate(root, { name: 'Upper', pathLength: 1 });
    const lower = await makeIntermediate(upper, { name: 'Lower' });
    const other = await makeMaterial();
    const bundle = [root, other, lower, upper].map(({ certPem }) => certPem).join('\n');
    const ca = loadCa(bundle, lower.keyPem);
    expect(ca.isSelfSigned).toBe(false);
    expect(subjectsIn(ca.chainPem)).toEqual(['CN=Lower', 'CN=Upper']);
  });

  test('signs no longer than what it is sent with', async () => {
    const root = await makeMaterial();
    const soon = new Date(Math.floor(Date.now() / 1000) * 1000 + 3 * dayMs);
    const upper = await makeIntermediate(root, { name: 'Upper', pathLength: 1, notAfter: soon });
    const lower = await makeIntermediate(upper, { name: 'Lower' });
    expect(loadCa(lower.certPem + upper.certPem, lower.keyPem).signsUntil).toEqual(soon);
  });

  test.each([
    [
      'its root allows none',
      { rootPathLength: 0, upperPathLength: 1 },
      /by "CN=Test CA P-256" above it \(path length 0\)/,
    ],
    [
      'the one above allows none',
      { rootPathLength: 2, upperPathLength: 0 },
      /by "CN=Upper" above it \(path length 0\)/,
    ],
    ['its root allows one, not two', { rootPathLength: 1, upperPathLength: 1 }, /above it \(path length 1\)/],
  ])('is refused where %s', async (_rule, { rootPathLength, upperPathLength }, message) => {
    const root = await makeMaterial({ pathLength: rootPathLength });
    const upper = await makeIntermediate(root, { name: 'Upper', pathLength: upperPathLength });
    const lower = await makeIntermediate(upper, { name: 'Lower' });
    const bundle = lower.certPem + upper.certPem + root.certPem;
    expect(() => loadCa(bundle, lower.keyPem)).toThrow(message);
  });

  test('is refused below an authority that has expired', async () => {
    const root = await makeMaterial();
    const upper = await makeIntermediate(root, {
      name: 'Upper',
      pathLength: 1,
      notAfter: new Date(Date.now() - 1000),
    });
    const lower = await makeIntermediate(upper, { name: 'Lower' });
    expect(() => loadCa(lower.certPem + upper.certPem, lower.keyPem)).toThrow(
      /is below "CN=Upper", which expired on/,
    );
  });
});

function subjectsIn(pem: string): string[] {
  return (pem.match(/-----BEGIN[^]*?-----END CERTIFICATE-----/g) ?? []).map(
    (block) => new X509Certificate(block).subject,
  );
}
