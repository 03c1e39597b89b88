import { describe, expect, test } from 'vitest';

import { ClientHelloReader } from '../src/client-hello.ts';
import { allowsEcdsa, type CertificateWishes, leafKeyKindFor, LeafKeys } from '../src/leaf-key.ts';
import type { CertProfile } from '../src/profile.ts';
import { realHello } from './real-hello.ts';

const tls13: CertificateWishes = {
  supportedVersions: [0x0304, 0x0303],
  cipherSuites: [0x1301],
  groups: [0x001d, 0x0017],
  signatureAlgorithms: [0x0403, 0x0804],
};
const tls12: CertificateWishes = {
  supportedVersions: [],
  cipherSuites: [0xc02b, 0xc02f],
  groups: [0x0017],
  signatureAlgorithms: [0x0403, 0x0401],
};

describe('allowsEcdsa', () => {
  test.each<[string, CertificateWishes, boolean]>([
    ['TLS 1.3 with ecdsa_secp256r1_sha256', tls13, true],
    ['TLS 1.3 with RSA schemes only', { ...tls13, signatureAlgorithms: [0x0804, 0x0401] }, false],
    ['TLS 1.3 with ECDSA on other curves only', { ...tls13, signatureAlgorithms: [0x0503, 0x0804] }, false],
    ['TLS 1.2 with suite, scheme and curve', tls12, true],
    ['TLS 1.2 with RSA suites only', { ...tls12, cipherSuites: [0xc02f, 0x009c] }, false],
    ['TLS 1.2 with RSA schemes only', { ...tls12, signatureAlgorithms: [0x0401] }, false],
    ['TLS 1.2 with ECDSA by SHA-1 only', { ...tls12, signatureAlgorithms: [0x0203] }, false],
    ['TLS 1.2 without schemes, which means SHA-1', { ...tls12, signatureAlgorithms: [] }, false],
    ['TLS 1.2 with other curves only', { ...tls12, groups: [0x0018] }, false],
    ['TLS 1.2 without curves, which means any', { ...tls12, groups: [] }, true],
  ])('%s', (_rule, hello, expected) => {
    expect(allowsEcdsa(hello)).toBe(expected);
  });
});

describe('leafKeyKindFor', () => {
  const rsaOnly = { ...tls12, cipherSuites: [0x009c] };
  const ecOnly = { ...tls12, cipherSuites: [0xc02b] };
  test.each<[CertProfile, string, CertificateWishes | undefined, string]>([
    ['modern', 'nothing known', undefined, 'ec'],
    ['modern', 'either', tls13, 'ec'],
    ['modern', 'RSA only', rsaOnly, 'rsa'],
    ['modern', 'ECDSA only', ecOnly, 'ec'],
    ['modern', 'neither', { ...tls12, cipherSuites: [0x1234] }, 'ec'],
    ['compat', 'nothing known', undefined, 'rsa'],
    ['compat', 'either', tls13, 'rsa'],
    ['compat', 'RSA only', rsaOnly, 'rsa'],
    ['compat', 'ECDSA only', ecOnly, 'ec'],
  ])('%s, a client of %s: %s', (profile, _client, hello, expected) => {
    expect(leafKeyKindFor(profile, hello)).toBe(expected);
  });

  test.each([
    ['as it comes', {}, 'ec'],
    ['with RSA suites', { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' }, 'rsa'],
    ['with RSA schemes', { sigalgs: 'rsa_pss_rsae_sha256:RSA+SHA256' }, 'rsa'],
    ['with RSA key exchange', { maxVersion: 'TLSv1.2', ciphers: 'AES128-GCM-SHA256' }, 'rsa'],
  ] as const)("reads Node's own hello %s", async (_how, options, expected) => {
    const hello = new ClientHelloReader().push(await realHello(options));
    expect(leafKeyKindFor('modern', hello)).toBe(expected);
  });
});

describe('LeafKeys', () => {
  test.each(['ec', 'rsa'] as const)('makes one %s key, however often it is asked for', async (kind) => {
    const keys = new LeafKeys();
    const [first, second] = await Promise.all([keys.of(kind), keys.of(kind)]);
    expect(first).toBe(second);
    expect(first.privateKey.asymmetricKeyType).toBe(kind);
  });
});
