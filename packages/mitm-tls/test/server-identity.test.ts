import { X509Certificate } from 'node:crypto';
import type { PeerCertificate } from 'node:tls';

import { beforeAll, describe, expect, test } from 'vitest';

import { generateCa } from '../src/ca.ts';
import { CertStore } from '../src/cert-store.ts';
import { identityError } from '../src/server-identity.ts';

const made = new Map<string, PeerCertificate>();
const names = ['example.test', '192.0.2.7', '2001:db8::7'];

beforeAll(async () => {
  const store = await CertStore.create(await generateCa());
  const { leaf } = await store.contextFor(names);
  made.set('all', new X509Certificate(leaf.certificatePem).toLegacyObject());
});

function certificate(): PeerCertificate {
  const all = made.get('all');
  if (all === undefined) throw new Error('the certificate has not been made');
  return all;
}

describe('a certificate is for', () => {
  test.each([...names, '2001:DB8:0:0::0007', 'EXAMPLE.test'])('%s', (host) => {
    expect(identityError(host, certificate())).toBeUndefined();
  });
});

describe('a certificate is not for', () => {
  test.each(['other.test', '192.0.2.8', '2001:db8::8', '::ffff:192.0.2.7', '[2001:db8::7]'])('%s', (host) => {
    expect(identityError(host, certificate())).toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
  });
});
