import { createSecureContext, DEFAULT_CIPHERS } from 'node:tls';

import { describe, expect, test } from 'vitest';

import { ClientHelloReader } from '../src/client-hello.ts';
import { nodeTlsVersion, profileOptions, tlsProfiles, tlsVersions } from '../src/profile.ts';
import { helloOfNode } from './hellos.ts';

describe('profileOptions', () => {
  test('TP-07 strict is TLS 1.3 with its three suites, whatever the minimum', () => {
    for (const minVersion of tlsVersions) {
      const options = profileOptions('strict', minVersion);
      expect(options).toMatchObject({ minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' });
      expect(options.ciphers).toMatch(/^(TLS_[A-Z0-9_]+:){3}ECDHE-[A-Z0-9-]+:@SECLEVEL=2$/);
    }
  });

  test('default leaves suites to the platform, but not how weak a key may be', () => {
    expect(profileOptions('default', 'tls1.2')).toEqual({
      minVersion: 'TLSv1.2',
      maxVersion: 'TLSv1.3',
      ciphers: `${DEFAULT_CIPHERS}:@SECLEVEL=2`,
    });
  });

  test('TP-08 compat asks for less security of keys, not for an older version', () => {
    const options = profileOptions('compat', 'tls1.2');
    expect(options.ciphers).toMatch(/@SECLEVEL=1$/);
    expect(options.minVersion).toBe('TLSv1.2');
  });

  test('strict offers its three suites and no other', async () => {
    const hello = new ClientHelloReader().push(await helloOfNode(profileOptions('strict', 'tls1.2')));
    expect(hello?.cipherSuites.filter((suite) => suite !== 0x00ff)).toEqual([0x1301, 0x1302, 0x1303]);
  });

  test.each(tlsProfiles)('%s makes a context with either minimum', (profile) => {
    for (const minVersion of tlsVersions) {
      expect(createSecureContext(profileOptions(profile, minVersion))).toBeDefined();
    }
  });

  test('versions have the platform names', () => {
    expect(tlsVersions.map(nodeTlsVersion)).toEqual(['TLSv1.2', 'TLSv1.3']);
  });
});
