import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';

import { beforeAll, describe, expect, test } from 'vitest';

import { loadCa } from '../src/ca-material.ts';
import { LeafIssuer } from '../src/leaf.ts';
import { identityError } from '../src/server-identity.ts';
import { webcrypto, x509 } from '../src/webcrypto.ts';
import { type AuthorityKind, authorityKinds, dayMs, makeAuthorities, makeMaterial } from './authorities.ts';
import { verdict } from './handshake.ts';
import { openSslMissing, verifyWithOpenSsl } from './openssl.ts';

const leafKey = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const leafKeyPem = leafKey.privateKey.export({ type: 'pkcs8', format: 'pem' });
const longName = `${'long-label.'.repeat(8)}example.test`;

let authorities: Awaited<ReturnType<typeof makeAuthorities>>;

beforeAll(async () => {
  authorities = await makeAuthorities();
});

const issuerOf = (kind: AuthorityKind): LeafIssuer => new LeafIssuer(authorities[kind].ca, leafKey);

interface NameCase {
  readonly name: string;
  /** What a client would ask for. */
  readonly host: string;
  readonly isAddress: boolean;
}
const nameCases: readonly (readonly [string, NameCase])[] = [
  ['a host name', { name: 'Api.Example.test', host: 'api.example.test', isAddress: false }],
  ['a wildcard', { name: '*.example.test', host: 'any.example.test', isAddress: false }],
  ['IPv4', { name: '192.0.2.7', host: '192.0.2.7', isAddress: true }],
  ['IPv6', { name: '2001:db8::0:7', host: '2001:db8::7', isAddress: true }],
  ['a U-label', { name: 'bücher.example', host: 'xn--bcher-kva.example', isAddress: false }],
  ['a name over 64 characters', { name: longName, host: longName, isAddress: false }],
];

describe('CA-08 a leaf is good for the name it was asked for', () => {
  test.each(nameCases)('%s, by node:crypto and @peculiar/x509', async (_rule, { name, host, isAddress }) => {
    const { certificatePem } = issuerOf('own').issue([name]);
    const platform = new X509Certificate(certificatePem);
    const root = new X509Certificate(authorities.own.rootPem);
    expect(platform.verify(root.publicKey) && platform.checkIssued(root)).toBe(true);
    expect(isAddress ? platform.checkIP(host) : platform.checkHost(host)).toBeDefined();
    expect(isAddress ? platform.checkIP('192.0.2.99') : platform.checkHost('other.test')).toBeUndefined();
    const library = new x509.X509Certificate(certificatePem);
    const publicKey = new x509.X509Certificate(authorities.own.rootPem).publicKey;
    expect(await library.verify({ publicKey }, webcrypto)).toBe(true);
  });

  test.each(nameCases)('%s, in a handshake', async (_rule, { name, host, isAddress }) => {
    const { chainPem } = issuerOf('own').issue([name]);
    const context = createSecureContext({ cert: chainPem, key: leafKeyPem });
    const client = {
      ca: authorities.own.rootPem,
      host,
      servername: isAddress ? '' : host,
      checkServerIdentity: identityError,
    };
    expect(await verdict(context, client)).toBeUndefined();
    expect(await verdict(context, { ...client, servername: 'wrong.test' })).toMatchObject({
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    });
  });

  test.skipIf(openSslMissing).each(nameCases)(
    `%s, by openssl verify -x509_strict${openSslMissing ? ` (skipped: ${openSslMissing})` : ''}`,
    async (_rule, { name, host, isAddress }) => {
      const leafPem = issuerOf('own').issue([name]).certificatePem;
      const { rootPem } = authorities.own;
      const asked = isAddress ? { ip: host } : { name: host };
      expect(await verifyWithOpenSsl({ leafPem, rootPem, host: asked })).toMatch(/OK$/);
    },
  );
});

describe('any usable CA can sign', () => {
  test.each(authorityKinds)('%s: clients that trust it, and no others, connect', async (kind) => {
    const { rootPem } = authorities[kind];
    const { chainPem } = issuerOf(kind).issue(['example.test']);
    const context = createSecureContext({ cert: chainPem, key: leafKeyPem });
    expect(await verdict(context, { ca: rootPem, servername: 'example.test' })).toBeUndefined();
    const { rootPem: strange } = authorities[kind === 'own' ? 'P-384' : 'own'];
    expect(await verdict(context, { ca: strange, servername: 'example.test' })).toBeInstanceOf(Error);
  });

  test.skipIf(openSslMissing).each(authorityKinds.filter((kind) => kind !== 'without key identifier'))(
    `%s: openssl verify -x509_strict${openSslMissing ? ` (skipped: ${openSslMissing})` : ''}`,
    async (kind) => {
      const { ca, rootPem } = authorities[kind];
      const leafPem = issuerOf(kind).issue(['example.test', '::1']).certificatePem;
      const intermediate = kind === 'intermediate' ? { intermediatePem: ca.certificatePem } : {};
      const host = { name: 'example.test' };
      expect(await verifyWithOpenSsl({ leafPem, rootPem, host, ...intermediate })).toMatch(/OK$/);
    },
  );

  test('a root is left out of the chain, an intermediate is sent', () => {
    const fromRoot = issuerOf('own').issue(['example.test']);
    expect(fromRoot.chainPem).toBe(fromRoot.certificatePem);
    const fromIntermediate = issuerOf('intermediate').issue(['example.test']);
    expect(fromIntermediate.chainPem).toBe(
      fromIntermediate.certificatePem + authorities.intermediate.ca.certificatePem,
    );
  });

  test.each([
    ['own', { name: 'ECDSA', hash: { name: 'SHA-256' } }],
    ['P-384', { name: 'ECDSA', hash: { name: 'SHA-384' } }],
    ['P-521', { name: 'ECDSA', hash: { name: 'SHA-512' } }],
    ['RSA', { name: 'RSASSA-PKCS1-v1_5', hash: { name: 'SHA-256' } }],
  ] as const)('CA %s signs with %o', (kind, algorithm) => {
    const { certificateDer } = issuerOf(kind).issue(['example.test']);
    expect(new x509.X509Certificate(certificateDer).signatureAlgorithm).toMatchObject(algorithm);
  });
});

describe('contents', () => {
  const now = new Date(Math.floor(Date.now() / 1000) * 1000 + 2 * dayMs + 456);
  const parse = (names: readonly string[], kind: AuthorityKind = 'own'): x509.X509Certificate =>
    new x509.X509Certificate(issuerOf(kind).issue(names, { now }).certificateDer);

  test('all names are alternative names, the first is the common name', () => {
    const leaf = issuerOf('own').issue(['A.test', 'b.test', '192.0.2.1', 'a.test']);
    expect(leaf.names).toEqual(['a.test', 'b.test', '192.0.2.1']);
    const platform = new X509Certificate(leaf.certificatePem);
    expect(platform.subject).toBe('CN=a.test');
    expect(platform.subjectAltName).toBe('DNS:a.test, DNS:b.test, IP Address:192.0.2.1');
  });

  test('a first name over 64 characters leaves the subject empty and makes the alternative names critical', () => {
    expect(parse([longName]).subject).toBe('');
    expect(parse([longName]).getExtension('2.5.29.17')?.critical).toBe(true);
    expect(parse(['example.test']).getExtension('2.5.29.17')?.critical).toBe(false);
  });

  test('it is valid from a day ago for 30 days from now, to the second', () => {
    const { notBefore, notAfter } = parse(['example.test']);
    expect(notBefore).toEqual(new Date(now.getTime() - 456 - dayMs));
    expect(notAfter).toEqual(new Date(now.getTime() - 456 + 30 * dayMs));
  });

  test('it does not begin before its CA', async () => {
    const madeAt = new Date(Math.floor(Date.now() / 1000) * 1000 - 3_600_000);
    const { certPem, keyPem } = await makeMaterial({ notBefore: madeAt });
    const issuer = new LeafIssuer(loadCa(certPem, keyPem), leafKey);
    expect(issuer.issue(['example.test']).notBefore).toEqual(madeAt);
  });

  test('made later it is the same certificate, whoever signs', async () => {
    for (const kind of authorityKinds) {
      const leaf = await issuerOf(kind).issueLater(['example.test']);
      const { publicKey } = new X509Certificate(authorities[kind].ca.certificatePem);
      expect(new X509Certificate(leaf.certificatePem).verify(publicKey)).toBe(true);
      expect(leaf.names).toEqual(['example.test']);
    }
  });

  test('it says where the revocation list is, where there is one', () => {
    const crlUrl = 'http://proxy.test:8080/ca.crl';
    const issuer = new LeafIssuer(authorities.own.ca, leafKey, { crlUrl });
    const leaf = new x509.X509Certificate(issuer.issue(['example.test']).certificateDer);
    const points = leaf.getExtension(x509.CRLDistributionPointsExtension)?.distributionPoints;
    expect(points?.[0]?.distributionPoint?.fullName?.[0]?.uniformResourceIdentifier).toBe(crlUrl);
    expect(parse(['example.test']).getExtension('2.5.29.31')).toBeNull();
  });

  test('it does not outlive its CA, and an expired CA issues nothing', async () => {
    const { certPem, keyPem } = await makeMaterial({ notAfter: new Date(Date.now() + 3 * dayMs) });
    const ca = loadCa(certPem, keyPem);
    const issuer = new LeafIssuer(ca, leafKey);
    expect(issuer.issue(['example.test']).notAfter).toEqual(ca.notAfter);
    expect(() => issuer.issue(['example.test'], { now: ca.notAfter })).toThrow(/expired on/);
  });

  test('the serial is the one reported, positive and of 16 octets', () => {
    const leaf = issuerOf('own').issue(['example.test']);
    expect(new X509Certificate(leaf.certificatePem).serialNumber.toLowerCase()).toBe(leaf.serial);
    expect(leaf.serial).toMatch(/^[4-7][0-9a-f]{31}$/);
  });

  test('it is no CA, signs only, and serves only', () => {
    const leaf = parse(['example.test']);
    expect(leaf.getExtension(x509.BasicConstraintsExtension)).toMatchObject({ ca: false, critical: true });
    expect(leaf.getExtension(x509.KeyUsagesExtension)).toMatchObject({
      usages: x509.KeyUsageFlags.digitalSignature,
      critical: true,
    });
    expect(leaf.getExtension(x509.ExtendedKeyUsageExtension)?.usages).toEqual(['1.3.6.1.5.5.7.3.1']);
  });

  test('a leaf with an RSA key may also encipher keys', () => {
    const rsaKey = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const { certificateDer } = new LeafIssuer(authorities.own.ca, rsaKey).issue(['example.test']);
    const usage = x509.KeyUsageFlags;
    expect(new x509.X509Certificate(certificateDer).getExtension(x509.KeyUsagesExtension)?.usages).toBe(
      usage.digitalSignature | usage.keyEncipherment,
    );
  });

  test.each(authorityKinds)("CA %s: the authority key identifier is the CA's own", async (kind) => {
    const leaf = parse(['example.test'], kind);
    const authority = leaf.getExtension(x509.AuthorityKeyIdentifierExtension)?.keyId;
    expect(authority).toBe(authorities[kind].ca.fields.keyIdentifier.toString('hex'));
    const subject = await x509.SubjectKeyIdentifierExtension.create(leaf.publicKey, false, webcrypto);
    expect(leaf.getExtension(x509.SubjectKeyIdentifierExtension)?.keyId).toBe(subject.keyId);
  });
});

test.each([
  ['an empty list', [], 'no_names'],
  ['an empty name', [''], 'invalid_name'],
  ['a name with a port', ['example.test:443'], 'invalid_name'],
  ['a bad name behind a good one', ['example.test', 'a b'], 'invalid_name'],
])('%s is refused', (_rule, names, code) => {
  expect(() => issuerOf('own').issue(names)).toThrow(
    expect.objectContaining({ name: 'ServerNameError', code }),
  );
});
