// The vocabularies of TLS settings and what a profile means in OpenSSL's terms. A profile shapes the upstream
// leg only; the minimum version holds for both.
import { constants } from 'node:crypto';
import { DEFAULT_CIPHERS, type SecureContextOptions } from 'node:tls';

/**
 * How much is asked of an origin. `strict`: TLS 1.3 and its three suites. `default`: what the platform
 * offers. `compat`: also what old origins need, 1024-bit keys and peers without secure renegotiation (RFC
 * 5746); still verified.
 */
export const tlsProfiles = ['strict', 'default', 'compat'] as const;
export type TlsProfile = (typeof tlsProfiles)[number];

/** Protocol versions that can be the minimum. */
export const tlsVersions = ['tls1.2', 'tls1.3'] as const;
export type TlsVersion = (typeof tlsVersions)[number];

/** The key of the leaves we make: `modern` is ECDSA P-256, `compat` RSA-2048. */
export const certProfiles = ['modern', 'compat'] as const;
export type CertProfile = (typeof certProfiles)[number];

/**
 * When SNI goes to the origin: `required` refuses address targets, `auto` sends it for names, `disabled`
 * never.
 */
export const sniModes = ['required', 'auto', 'disabled'] as const;
export type SniMode = (typeof sniModes)[number];

/** Whether we show a client certificate to origins. */
export const clientAuthModes = ['never', 'if_requested', 'required'] as const;
export type ClientAuthMode = (typeof clientAuthModes)[number];

/** Whether the upstream hello is the platform's own or that of a class. */
export const fingerprintModes = ['native', 'compat_class'] as const;
export type FingerprintMode = (typeof fingerprintModes)[number];

/**
 * Classes of upstream hello. A class takes the cipher suites, groups and signature algorithms of a browser in its order; see
 * `hello-preset.ts` for what stays different.
 */
export const fingerprintClasses = ['native', 'chrome_like', 'firefox_like'] as const;
export type FingerprintClass = (typeof fingerprintClasses)[number];

/** The part of SecureContextOptions that a profile decides. */
export type ProfileOptions = Readonly<
  Pick<SecureContextOptions, 'minVersion' | 'maxVersion' | 'ciphers' | 'secureOptions'>
>;

const tls13Suites = 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256';

/** Node's name of a version. */
export function nodeTlsVersion(version: TlsVersion): 'TLSv1.2' | 'TLSv1.3' {
  return version === 'tls1.3' ? 'TLSv1.3' : 'TLSv1.2';
}

/** The context options of an upstream profile. `strict` is TLS 1.3 whatever the minimum version. */
export function profileOptions(profile: TlsProfile, minVersion: TlsVersion): ProfileOptions {
  if (profile === 'strict') return { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3', ciphers: tls13Suites };
  const versions = { minVersion: nodeTlsVersion(minVersion), maxVersion: 'TLSv1.3' } as const;
  if (profile === 'default') return versions;
  // Level 1 and not 0: below it OpenSSL would take MD5 and SHA-1 signatures in a chain.
  return {
    ...versions,
    ciphers: `${DEFAULT_CIPHERS}:@SECLEVEL=1`,
    secureOptions: constants.SSL_OP_LEGACY_SERVER_CONNECT,
  };
}
