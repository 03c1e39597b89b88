// The authority and the certificates: files come in pairs, names fit a certificate.
import { certProfiles, tlsVersions } from 'mitm-tls';
import { expect, test } from 'vitest';

import { parseConfig } from '../../src/config/parse.ts';
import { minimal, problemsWith } from './problems.ts';

test('the default files are used when none is named', () => {
  expect(parseConfig(minimal).tls).toMatchObject({
    caCertPath: './certs/soth-mitm-ca.pem',
    caKeyPath: './certs/soth-mitm-ca-key.pem',
  });
});

test('a pair of files is taken as given', () => {
  const tls = { caCertPath: '/etc/ca.pem', caKeyPath: '/etc/ca.key' };
  expect(parseConfig({ ...minimal, tls }).tls).toMatchObject(tls);
});

test.each([
  ...tlsVersions.map((minVersion) => ({ minVersion })),
  ...certProfiles.map((downstreamCertProfile) => ({ downstreamCertProfile })),
])('CF-13 %j is accepted', (tls) => {
  expect(parseConfig({ ...minimal, tls }).tls).toMatchObject(tls);
});

test.each([
  [
    'CF-15 a certificate needs its key',
    { caCertPath: 'a' },
    'caKeyPath: must be given together with caCertPath',
  ],
  [
    'CF-15 a key needs its certificate',
    { caKeyPath: 'a' },
    'caCertPath: must be given together with caKeyPath',
  ],
  ['paths are not blank', { caCertPath: '', caKeyPath: 'a' }, 'caCertPath: must not be empty'],
  ['old versions are not offered', { minVersion: 'tls1.1' }, 'minVersion: must be one of tls1.2, tls1.3'],
  [
    'the cache has room',
    { leafCertCacheCapacity: 0 },
    'leafCertCacheCapacity: must be a whole number of certificates',
  ],
  [
    'rotation takes time',
    { caRotateAfterSeconds: 0 },
    'caRotateAfterSeconds: must be a whole number of seconds',
  ],
  ['the common name is not blank', { caCommonName: ' ' }, 'caCommonName: must not be empty'],
  ['the organization is not blank', { caOrganization: '' }, 'caOrganization: must not be empty'],
  ['the common name fits', { caCommonName: 'x'.repeat(65) }, 'caCommonName: must have at most 64 characters'],
])('%s', (_rule, tls, problem) => {
  expect(problemsWith({ tls })).toEqual([expect.stringContaining(`tls.${problem}`)]);
});
