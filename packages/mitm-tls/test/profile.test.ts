import { createSecureContext } from 'node:tls';

import { describe, expect, test } from 'vitest';

import { nodeTlsVersion, profileOptions, tlsProfiles, tlsVersions } from '../src/profile.ts';

describe('profileOptions', () => {
  test('TP-07 strict is TLS 1.3 with its three suites, whatever the minimum', () => {
    for (const minVersion of tlsVersions) {
      const options = profileOptions('strict', minVersion);
      expect(options).toMatchObject({ minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' });
      expect(options.ciphers?.split(':')).toHaveLength(3);
      expect(options.ciphers).toMatch(/^(TLS_[A-Z0-9_]+:?)+$/);
    }
  });

  test('default leaves suites to the platform', () => {
    expect(profileOptions('default', 'tls1.2')).toEqual({ minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3' });
  });

  test('TP-08 compat asks for less security of keys, not for an older version', () => {
    const options = profileOptions('compat', 'tls1.2');
    expect(options.ciphers).toMatch(/@SECLEVEL=1$/);
    expect(options.minVersion).toBe('TLSv1.2');
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
