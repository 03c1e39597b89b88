// How our hello to origins looks in each fingerprint class: the browser's cipher suites, groups and signature algorithms in its order,
// as far as OpenSSL can be told. It is a resemblance, no imitation, and this file says what stays different.
import { constants } from 'node:crypto';
import { createSecureContext, type SecureContextOptions } from 'node:tls';

import { type FingerprintClass, securityLevel, type TlsProfile } from './profile.ts';

/** The part of SecureContextOptions that a class decides. */
export type HelloOptions = Pick<SecureContextOptions, 'ciphers' | 'ecdhCurve' | 'sigalgs' | 'secureOptions'>;

/** Before 3.4, OpenSSL says by a cipher suite of its own what it says by an extension since (RFC 5746 §3.3). */
function sayingRenegotiation(openssl: string): readonly string[] {
  const [major = 0, minor = 0] = openssl.split('.').map(Number);
  return major > 3 || (major === 3 && minor >= 4) ? [] : ['renegotiation_suite'];
}

const ofThisOpenssl = sayingRenegotiation(process.versions.openssl);

/**
 * By what anybody who looks can still tell us from the browser: OpenSSL sends no GREASE, keeps one order of extensions, and knows none
 * of the extensions named here.
 */
export const helloDifferences: Readonly<Record<Exclude<FingerprintClass, 'native'>, readonly string[]>> = {
  chrome_like: [
    'grease',
    'extension_order',
    'signed_certificate_timestamp',
    'compress_certificate',
    'application_settings',
    'encrypted_client_hello',
    ...ofThisOpenssl,
  ],
  firefox_like: [
    'extension_order',
    'signature_algorithms',
    'signed_certificate_timestamp',
    'compress_certificate',
    'delegated_credentials',
    'record_size_limit',
    'encrypted_client_hello',
    ...ofThisOpenssl,
  ],
};

interface Preset {
  readonly tls13Suites: readonly string[];
  readonly olderSuites: readonly string[];
  readonly groups: readonly string[];
  readonly signatureAlgorithms: readonly string[];
}

const presets: Readonly<Record<Exclude<FingerprintClass, 'native'>, Preset>> = {
  chrome_like: {
    tls13Suites: ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'],
    olderSuites: [
      'ECDHE-ECDSA-AES128-GCM-SHA256',
      'ECDHE-RSA-AES128-GCM-SHA256',
      'ECDHE-ECDSA-AES256-GCM-SHA384',
      'ECDHE-RSA-AES256-GCM-SHA384',
      'ECDHE-ECDSA-CHACHA20-POLY1305',
      'ECDHE-RSA-CHACHA20-POLY1305',
      'ECDHE-RSA-AES128-SHA',
      'ECDHE-RSA-AES256-SHA',
      'AES128-GCM-SHA256',
      'AES256-GCM-SHA384',
      'AES128-SHA',
      'AES256-SHA',
    ],
    groups: ['X25519', 'P-256', 'P-384'],
    signatureAlgorithms: [
      'ecdsa_secp256r1_sha256',
      'rsa_pss_rsae_sha256',
      'rsa_pkcs1_sha256',
      'ecdsa_secp384r1_sha384',
      'rsa_pss_rsae_sha384',
      'rsa_pkcs1_sha384',
      'rsa_pss_rsae_sha512',
      'rsa_pkcs1_sha512',
    ],
  },
  firefox_like: {
    tls13Suites: ['TLS_AES_128_GCM_SHA256', 'TLS_CHACHA20_POLY1305_SHA256', 'TLS_AES_256_GCM_SHA384'],
    olderSuites: [
      'ECDHE-ECDSA-AES128-GCM-SHA256',
      'ECDHE-RSA-AES128-GCM-SHA256',
      'ECDHE-ECDSA-CHACHA20-POLY1305',
      'ECDHE-RSA-CHACHA20-POLY1305',
      'ECDHE-ECDSA-AES256-GCM-SHA384',
      'ECDHE-RSA-AES256-GCM-SHA384',
      'ECDHE-ECDSA-AES256-SHA',
      'ECDHE-RSA-AES128-SHA',
      'ECDHE-RSA-AES256-SHA',
      'AES128-GCM-SHA256',
      'AES256-GCM-SHA384',
      'AES128-SHA',
      'AES256-SHA',
    ],
    groups: ['X25519', 'P-256', 'P-384', 'P-521', 'ffdhe2048', 'ffdhe3072'],
    // Without the two SHA-1 ones that end the browser's list: OpenSSL refuses them at its usual level.
    signatureAlgorithms: [
      'ecdsa_secp256r1_sha256',
      'ecdsa_secp384r1_sha384',
      'ecdsa_secp521r1_sha512',
      'rsa_pss_rsae_sha256',
      'rsa_pss_rsae_sha384',
      'rsa_pss_rsae_sha512',
      'rsa_pkcs1_sha256',
      'rsa_pkcs1_sha384',
      'rsa_pkcs1_sha512',
    ],
  },
};

/** Sent with key shares for both, as browsers do; known from OpenSSL 3.5 on. */
const postQuantumGroups = ['*X25519MLKEM768', '*X25519'];

/**
 * What a class adds to the context of a profile; nothing for `native`. The profile decides the versions, and with them which of the suites
 * are offered, and the level of security.
 */
export function helloOptions(fingerprintClass: FingerprintClass, profile: TlsProfile): HelloOptions {
  if (fingerprintClass === 'native') return {};
  const preset = presets[fingerprintClass];
  return {
    ciphers: [...preset.tls13Suites, ...preset.olderSuites, securityLevel(profile)].join(':'),
    sigalgs: preset.signatureAlgorithms.join(':'),
    ecdhCurve: groupsOf(preset),
    // No browser offers encrypt-then-mac.
    secureOptions: constants.SSL_OP_NO_ENCRYPT_THEN_MAC | legacyOption(profile),
  };
}

function legacyOption(profile: TlsProfile): number {
  return profile === 'compat' ? constants.SSL_OP_LEGACY_SERVER_CONNECT : 0;
}

function groupsOf({ groups }: Preset): string {
  const modern = [...postQuantumGroups, ...groups.slice(1)].join(':');
  try {
    createSecureContext({ ecdhCurve: modern });
    return modern;
  } catch (error) {
    if (error instanceof Error) return groups.join(':');
    throw error;
  }
}
