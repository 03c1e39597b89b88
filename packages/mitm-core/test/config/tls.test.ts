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
  [
    'a passphrase comes from one place',
    { caKeyPassphrase: 'a', caKeyPassphraseFile: 'b' },
    'caKeyPassphraseFile: must not be given together with caKeyPassphrase',
  ],
  [
    'an overlap is a time',
    { caRotateOverlapSeconds: -1 },
    'caRotateOverlapSeconds: must be a whole number of seconds from 0',
  ],
  [
    'a revocation list is fetched without TLS',
    { crlUrl: 'https://a.test/ca.crl' },
    'crlUrl: must be an http://',
  ],
  ['and from an address as it is sent', { crlUrl: 'http://A.test/ca.crl' }, 'crlUrl: must be an http://'],
  ['without credentials', { crlUrl: 'http://u@a.test/ca.crl' }, 'crlUrl: must be an http://'],
  ['a key log has a path', { keyLogPath: ' ' }, 'keyLogPath: must not be empty'],
  ['the common name fits', { caCommonName: 'x'.repeat(65) }, 'caCommonName: must have at most 64 characters'],
])('%s', (_rule, tls, problem) => {
  expect(problemsWith({ tls })).toEqual([expect.stringContaining(`tls.${problem}`)]);
});

test('a passphrase that is refused is not shown', () => {
  const given = { ...minimal, tls: { caKeyPassphrase: ['hunter2'] } };
  expect(() => parseConfig(given)).toThrow(/tls.caKeyPassphrase: must be a text$/m);
  expect(() => parseConfig(given)).not.toThrow(/hunter2|a list/);
});
