import { createHash, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';

import { beforeAll, describe, expect, test } from 'vitest';

import { loadCa } from '../src/ca-material.ts';
import { type CertificateAuthority } from '../src/ca.ts';
import { CertStore } from '../src/cert-store.ts';
import { decodePem } from '../src/certificate.ts';
import { LeafIssuer } from '../src/leaf.ts';
import {
  type TrustedRootCounts,
  type TrustSource,
  type UpstreamContextOptions,
  UpstreamContexts,
  upstreamServername,
} from '../src/upstream-context.ts';
import { makeIntermediate, makeMaterial, type Material } from './authorities.ts';
import { handshake, verdict } from './handshake.ts';

const base = { trust: 'bundled', extraCaPems: [], profile: 'default', minVersion: 'tls1.2' } as const;

let material: Material;
let ca: CertificateAuthority;
let origin: CertStore;

beforeAll(async () => {
  material = await makeMaterial();
  ca = loadCa(material.certPem, material.keyPem);
  origin = await CertStore.create(ca);
});

/** The error of a client with these settings against an origin whose root is the test CA. */
async function connectWith(
  options: Partial<UpstreamContextOptions>,
  originContext = origin,
): Promise<Error | undefined> {
  const secureContext = new UpstreamContexts({ ...base, ...options }).context();
  const { context } = await originContext.contextFor(['origin.test']);
  return verdict(context, { secureContext, servername: 'origin.test' });
}

const uniqueCount = (...pems: readonly string[]): number =>
  new Set(pems.map((pem) => createHash('sha256').update(decodePem(pem)).digest('hex'))).size;

describe('trust', () => {
  test('an origin is trusted when its CA is among the extra ones, and not otherwise', async () => {
    expect(await connectWith({})).toMatchObject({ code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
    expect(await connectWith({ extraCaPems: [ca.certificatePem] })).toBeUndefined();
  });

  test('an extra CA that is excluded is not trusted: our own never is', async () => {
    const exclude = [new X509Certificate(ca.certificatePem).fingerprint256];
    const options = { extraCaPems: [ca.certificatePem], exclude };
    expect(await connectWith(options)).toMatchObject({ code: 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY' });
    expect(new UpstreamContexts({ ...base, ...options }).roots().extra).toBe(0);
  });

  test('a bundled root is excluded by fingerprint', () => {
    const all = new UpstreamContexts(base).roots();
    const [first = ''] = getCACertificates('bundled');
    const exclude = [createHash('sha256').update(decodePem(first)).digest('hex').toUpperCase()];
    expect(new UpstreamContexts({ ...base, exclude }).roots().bundled).toBe(all.bundled - 1);
  });

  test('an intermediate among the extra CAs is trusted by itself', async () => {
    const intermediate = await makeIntermediate(material);
    const store = await CertStore.create(loadCa(intermediate.certPem, intermediate.keyPem));
    expect(await connectWith({ extraCaPems: [intermediate.certPem] }, store)).toBeUndefined();
  });

  test('bundled, system and both count what they take, each certificate once', () => {
    const bundled = getCACertificates('bundled');
    const system = getCACertificates('system');
    expect(countsOf('bundled')).toEqual({ bundled: uniqueCount(...bundled), system: 0, extra: 1 });
    expect(countsOf('system')).toEqual({ bundled: 0, system: uniqueCount(...system), extra: 1 });
    expect(countsOf('both')).toEqual({
      bundled: uniqueCount(...bundled),
      system: uniqueCount(...bundled, ...system) - uniqueCount(...bundled),
      extra: 1,
    });
  });

  test('where nothing at all would be trusted, the context is refused', () => {
    const everything = getCACertificates('system').map((pem) =>
      createHash('sha256').update(decodePem(pem)).digest('hex'),
    );
    const contexts = new UpstreamContexts({ ...base, trust: 'system', exclude: everything });
    expect(() => contexts.context()).toThrow(expect.objectContaining({ code: 'OPERATION_FAILED' }));
    expect(() => contexts.context()).toThrow(/use "bundled" or "both"/);
  });

  test.each([
    ['no certificate', 'hello', /extra CA 2 holds no "BEGIN CERTIFICATE" block/],
    ['broken', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----', /extra CA 2 cannot be read/],
  ])('an extra CA that is %s is refused at once', (_rule, pem, message) => {
    const create = (): unknown => new UpstreamContexts({ ...base, extraCaPems: [ca.certificatePem, pem] });
    expect(create).toThrow(message);
    expect(create).toThrow(expect.objectContaining({ code: 'INVALID_MATERIAL' }));
  });
});

describe('context', () => {
  test('TP-11 it is made once and is the same for every origin', () => {
    const contexts = new UpstreamContexts(base);
    expect(contexts.context()).toBe(contexts.context());
  });

  test('nothing is read until it is asked for', () => {
    const before = performance.now();
    void new UpstreamContexts({ ...base, trust: 'both' });
    expect(performance.now() - before).toBeLessThan(5);
  });

  test('TP-01 strict refuses an origin of TLS 1.2', async () => {
    const secureContext = new UpstreamContexts({
      ...base,
      profile: 'strict',
      extraCaPems: [ca.certificatePem],
    }).context();
    const old = oldOrigin({ maxVersion: 'TLSv1.2' });
    expect(await verdict(old, { secureContext, servername: 'origin.test' })).toMatchObject({
      code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
    });
  });

  test.each([
    ['default', false],
    ['compat', true],
  ] as const)('TP-02 %s reaches an origin with a 1024-bit key: %s', async (profile, isReached) => {
    const weak = await makeMaterial({ key: 'RSA-1024', keyUsage: 'digitalSignature' });
    const context = createSecureContext({
      cert: weak.certPem,
      key: weak.keyPem,
      maxVersion: 'TLSv1.2',
      ciphers: 'DEFAULT@SECLEVEL=0',
    });
    const secureContext = new UpstreamContexts({ ...base, profile, extraCaPems: [weak.certPem] }).context();
    const error = await verdict(context, {
      secureContext,
      servername: '',
      checkServerIdentity: () => undefined,
    });
    expect(error === undefined).toBe(isReached);
  });
});

describe('client certificate', () => {
  test('MT-06 it is shown to an origin that asks', async () => {
    const clientCertificate = { certPem: material.certPem, keyPem: material.keyPem };
    const secureContext = new UpstreamContexts({
      ...base,
      extraCaPems: [ca.certificatePem],
      clientCertificate,
    }).context();
    const { context } = await origin.contextFor(['origin.test']);
    const asking = { requestCert: true, rejectUnauthorized: false };
    const { client, server } = await handshake(context, { secureContext, servername: 'origin.test' }, asking);
    expect(server.getPeerX509Certificate()?.raw.equals(ca.certificateDer)).toBe(true);
    client.destroy();
    server.destroy();
  });

  test('MT-07 what is no certificate, or not its key, is refused at once', async () => {
    const other = await makeMaterial();
    expect(showing('', material.keyPem)).toThrow(/cannot be read/);
    expect(showing(material.certPem, other.keyPem)).toThrow(/does not belong/);
    expect(showing(material.certPem, other.keyPem)).toThrow(
      expect.objectContaining({ code: 'INVALID_MATERIAL' }),
    );
  });
});

describe('upstreamServername', () => {
  test.each([
    ['a name in mode auto', 'Origin.test.', 'auto', 'origin.test'],
    ['a name in mode required', 'origin.test', 'required', 'origin.test'],
    ['a name in mode disabled', 'origin.test', 'disabled', ''],
    ['TP-10 an address in mode auto', '192.0.2.1', 'auto', ''],
    ['TP-10 an IPv6 address in brackets in mode auto', '[::1]', 'auto', ''],
    ['an address in mode disabled', '::1', 'disabled', ''],
  ] as const)('%s', (_rule, host, mode, expected) => {
    expect(upstreamServername(host, mode)).toBe(expected);
  });

  test('TP-09 an address in mode required is refused', () => {
    expect(() => upstreamServername('192.0.2.1', 'required')).toThrow(
      expect.objectContaining({ code: 'sni_requires_name' }),
    );
  });
});

function oldOrigin(options: { readonly maxVersion: 'TLSv1.2' }): SecureContext {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { chainPem } = new LeafIssuer(ca, pair).issue(['origin.test']);
  const key = pair.privateKey.export({ type: 'pkcs8', format: 'pem' });
  return createSecureContext({ cert: chainPem, key, ...options });
}

function countsOf(trust: TrustSource): TrustedRootCounts {
  return new UpstreamContexts({ ...base, trust, extraCaPems: [ca.certificatePem] }).roots();
}

function showing(certPem: string, keyPem: string): () => unknown {
  return () => new UpstreamContexts({ ...base, clientCertificate: { certPem, keyPem } });
}
