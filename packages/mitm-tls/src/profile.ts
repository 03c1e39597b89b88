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

/** Whether the upstream hello is the platform's own, that of a class, or made after that of the client. */
export const fingerprintModes = ['native', 'compat_class', 'mirror_client'] as const;
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

/**
 * What OpenSSL takes of keys and signatures (SSL_CTX_set_security_level): 2 refuses RSA below 2,048 bits. It is said, since its default
 * is 1 in older releases of OpenSSL, and an origin shall be judged alike by every Node. With `compat` it is 1, and not 0, below which
 * MD5 and SHA-1 signatures in a chain would do.
 */
export function securityLevel(profile: TlsProfile): '@SECLEVEL=1' | '@SECLEVEL=2' {
  return profile === 'compat' ? '@SECLEVEL=1' : '@SECLEVEL=2';
}

/** The last is of TLS 1.2, and never offered in 1.3: OpenSSL sets a level only together with a suite of that kind. */
const strictSuites =
  'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:ECDHE-ECDSA-AES128-GCM-SHA256';

/** Node's name of a version. */
export function nodeTlsVersion(version: TlsVersion): 'TLSv1.2' | 'TLSv1.3' {
  return version === 'tls1.3' ? 'TLSv1.3' : 'TLSv1.2';
}

/** The context options of an upstream profile. `strict` is TLS 1.3 whatever the minimum version. */
export function profileOptions(profile: TlsProfile, minVersion: TlsVersion): ProfileOptions {
  const suites = profile === 'strict' ? strictSuites : DEFAULT_CIPHERS;
  return {
    minVersion: profile === 'strict' ? 'TLSv1.3' : nodeTlsVersion(minVersion),
    maxVersion: 'TLSv1.3',
    ciphers: `${suites}:${securityLevel(profile)}`,
    ...(profile === 'compat' ? { secureOptions: constants.SSL_OP_LEGACY_SERVER_CONNECT } : {}),
  };
}
