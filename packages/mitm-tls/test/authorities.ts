// Certificate authorities of every kind that a user may bring, made with a library that shares no code with
// what is tested.
import { createPrivateKey, type KeyObject } from 'node:crypto';

import { loadCa } from '../src/ca-material.ts';
import { type CertificateAuthority, generateCa, randomSerial } from '../src/ca.ts';
import { webcrypto, x509 } from '../src/webcrypto.ts';

export const dayMs = 86_400_000;

const algorithms = {
  'P-256': { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  'P-384': { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' },
  'P-521': { name: 'ECDSA', namedCurve: 'P-521', hash: 'SHA-512' },
  'RSA-2048': rsa(2048),
  'RSA-1024': rsa(1024),
};
type AuthorityKey = keyof typeof algorithms;

function rsa(modulusLength: number) {
  return {
    name: 'RSASSA-PKCS1-v1_5',
    hash: 'SHA-256',
    modulusLength,
    publicExponent: Uint8Array.of(1, 0, 1),
  };
}

export interface AuthorityOptions {
  readonly key?: AuthorityKey;
  readonly isCa?: boolean;
  /** What keyUsage allows; signing certificates when left out. */
  readonly keyUsage?: 'keyCertSign' | 'digitalSignature';
  readonly hasKeyIdentifier?: boolean;
  readonly pathLength?: number;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
}

export interface Material {
  readonly certPem: string;
  readonly keyPem: string;
  readonly key: KeyObject;
}

/** A self-signed certificate and its key. */
export async function makeMaterial(options: AuthorityOptions = {}): Promise<Material> {
  const { key = 'P-256', isCa = true, hasKeyIdentifier = true } = options;
  const usage = x509.KeyUsageFlags;
  const signingAlgorithm = algorithms[key];
  const keys = await generateKeys(key);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: '41',
      name: `CN=Test CA ${key}`,
      notBefore: options.notBefore ?? new Date(Date.now() - dayMs),
      notAfter: options.notAfter ?? new Date(Date.now() + 365 * dayMs),
      signingAlgorithm,
      keys,
      extensions: [
        new x509.BasicConstraintsExtension(isCa, options.pathLength, true),
        new x509.KeyUsagesExtension(usage[options.keyUsage ?? 'keyCertSign'], true),
        ...(hasKeyIdentifier
          ? [await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto)]
          : []),
      ],
    },
    webcrypto,
  );
  return materialOf(certificate, keys);
}

/** A CA signed by `root` with a key identifier that is no hash of its key, as some issuers write it. */
export async function makeIntermediate(
  root: Material,
  options: { readonly name?: string; readonly pathLength?: number; readonly notAfter?: Date } = {},
): Promise<Material> {
  const { name = 'Test Intermediate', pathLength = 0 } = options;
  const usage = x509.KeyUsageFlags;
  const keys = await generateKeys('P-256');
  const rootKey = await webcrypto.subtle.importKey(
    'pkcs8',
    new Uint8Array(root.key.export({ type: 'pkcs8', format: 'der' })),
    algorithms['P-256'],
    true,
    ['sign'],
  );
  const rootCertificate = new x509.X509Certificate(root.certPem);
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: randomSerial().toString('hex'),
      subject: `CN=${name}`,
      issuer: rootCertificate.subject,
      notBefore: new Date(Date.now() - dayMs),
      notAfter: options.notAfter ?? new Date(Date.now() + 365 * dayMs),
      signingAlgorithm: algorithms['P-256'],
      publicKey: keys.publicKey,
      signingKey: rootKey,
      extensions: [
        new x509.BasicConstraintsExtension(true, pathLength, true),
        new x509.KeyUsagesExtension(usage.keyCertSign, true),
        new x509.SubjectKeyIdentifierExtension(randomSerial().toString('hex')),
        new x509.AuthorityKeyIdentifierExtension(
          rootCertificate.getExtension(x509.SubjectKeyIdentifierExtension)?.keyId ?? '',
        ),
      ],
    },
    webcrypto,
  );
  return materialOf(certificate, keys);
}

export interface NamedAuthority {
  readonly ca: CertificateAuthority;
  /** What a client has to trust. */
  readonly rootPem: string;
}

/** One usable authority of each kind. */
export async function makeAuthorities(): Promise<Readonly<Record<AuthorityKind, NamedAuthority>>> {
  const [own, p384, p521, rsa2048, root, plain] = await Promise.all([
    generateCa(),
    makeMaterial({ key: 'P-384' }),
    makeMaterial({ key: 'P-521' }),
    makeMaterial({ key: 'RSA-2048' }),
    makeMaterial(),
    makeMaterial({ hasKeyIdentifier: false }),
  ]);
  const intermediate = await makeIntermediate(root);
  return {
    own: { ca: own, rootPem: own.certificatePem },
    'P-384': selfSigned(p384),
    'P-521': selfSigned(p521),
    RSA: selfSigned(rsa2048),
    intermediate: { ca: loadCa(intermediate.certPem, intermediate.keyPem), rootPem: root.certPem },
    'without key identifier': selfSigned(plain),
  };
}

function selfSigned(material: Material): NamedAuthority {
  return { ca: loadCa(material.certPem, material.keyPem), rootPem: material.certPem };
}

export const authorityKinds = [
  'own',
  'P-384',
  'P-521',
  'RSA',
  'intermediate',
  'without key identifier',
] as const;
export type AuthorityKind = (typeof authorityKinds)[number];

type KeyPair = Awaited<ReturnType<typeof generateKeys>>;

async function generateKeys(key: AuthorityKey) {
  return webcrypto.subtle.generateKey(algorithms[key], true, ['sign', 'verify']);
}

async function materialOf(certificate: x509.X509Certificate, keys: KeyPair): Promise<Material> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  return {
    certPem: certificate.toString('pem'),
    keyPem: key.export({ type: 'pkcs8', format: 'pem' }).toString(),
    key,
  };
}
