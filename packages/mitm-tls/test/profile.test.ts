import { createSecureContext } from 'node:tls';

import { describe, expect, test } from 'vitest';

import {
  type FingerprintClass,
  type FingerprintMode,
  fingerprintProfile,
  nodeTlsVersion,
  profileOptions,
  type TlsProfile,
  tlsProfiles,
  tlsVersions,
} from '../src/profile.ts';

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

describe('fingerprintProfile', () => {
  test.each<[string, TlsProfile, FingerprintMode, FingerprintClass, TlsProfile]>([
    ['native keeps the profile', 'compat', 'native', 'native', 'compat'],
    ['FP-07 strict stays strict', 'strict', 'compat_class', 'chrome_like', 'strict'],
    ['FP-07 strict stays strict', 'strict', 'compat_class', 'firefox_like', 'strict'],
    ['FP-08 chrome_like takes default', 'compat', 'compat_class', 'chrome_like', 'default'],
    ['FP-09 firefox_like takes compat', 'default', 'compat_class', 'firefox_like', 'compat'],
  ])('%s', (_rule, profile, mode, fingerprintClass, expected) => {
    expect(fingerprintProfile(profile, mode, fingerprintClass)).toBe(expected);
  });

  test.each<[string, FingerprintMode, FingerprintClass]>([
    ['FP-10 mode native with a class', 'native', 'chrome_like'],
    ['FP-11 mode compat_class without one', 'compat_class', 'native'],
  ])('%s is refused', (_rule, mode, fingerprintClass) => {
    expect(() => fingerprintProfile('default', mode, fingerprintClass)).toThrow(RangeError);
  });
});
