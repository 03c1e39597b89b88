// Configuration of who we claim to be: the certificate authority, the certificates made with it, and the TLS version of
// both legs.
import { certProfiles, tlsVersions } from 'mitm-tls';
import { z } from 'zod';

import { count, filePath, reading, text, wholeNumber } from './field.ts';

const defaultCaCertPath = './certs/soth-mitm-ca.pem';
const defaultCaKeyPath = './certs/soth-mitm-ca-key.pem';
const tenYearsInSeconds = 315_360_000;

export const tlsSchema = z
  .strictObject({
    caCertPath: filePath()
      .optional()
      .describe(
        'PEM file with the certificate of the authority. Given only together with `caKeyPath`. Not read when the program passes an authority itself.',
      ),
    caKeyPath: filePath().optional().describe('PEM file with the private key of the authority.'),
    minVersion: z
      .enum(tlsVersions)
      .default('tls1.2')
      .describe('Lowest TLS version, for clients and for origins.'),
    captureFingerprint: z
      .boolean()
      .default(true)
      .describe(
        'Compute the JA3 and JA4 fingerprints of each ClientHello and show them to policy and handler.',
      ),
    downstreamCertProfile: z
      .enum(certProfiles)
      .default('modern')
      .describe(
        'Keys of the certificates shown to clients: `modern` is ECDSA P-256, `compat` is RSA for clients that know nothing newer.',
      ),
    leafCertCacheCapacity: count('certificates', 1_000_000)
      .default(1_024)
      .describe('How many certificates made for hosts are kept, with their TLS contexts.'),
    caRotateAfterSeconds: wholeNumber('seconds', 1, tenYearsInSeconds)
      .optional()
      .describe('Age at which the authority is replaced by a new one, in seconds. Without it, never.'),
    caCommonName: authorityName('common name')
      .default('soth-mitm Local CA')
      .describe('Common name of an authority that the proxy makes.'),
    caOrganization: authorityName('organization')
      .default('soth-mitm')
      .describe('Organization of an authority that the proxy makes.'),
  })
  .superRefine((tls, ctx) => {
    const missing = tls.caCertPath === undefined ? 'caCertPath' : 'caKeyPath';
    const given = tls.caCertPath === undefined ? 'caKeyPath' : 'caCertPath';
    if (tls[missing] !== undefined || tls[given] === undefined) return;
    ctx.addIssue({
      code: 'custom',
      path: [missing],
      message: `must be given together with ${given}: certificate and key belong together`,
      input: undefined,
    });
  }, reading())
  .transform((tls) => ({
    ...tls,
    caCertPath: tls.caCertPath ?? defaultCaCertPath,
    caKeyPath: tls.caKeyPath ?? defaultCaKeyPath,
  }))
  .prefault({})
  .describe('The certificate authority and the certificates shown to clients.');

/** X.520 allows 64 characters in these two parts of a name (RFC 5280, appendix A.1). */
function authorityName(part: string): z.ZodString {
  return text().max(64, { error: `must have at most 64 characters, the limit of a certificate's ${part}` });
}
