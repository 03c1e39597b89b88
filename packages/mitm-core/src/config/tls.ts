// Configuration of who we claim to be: the certificate authority, the certificates made with it, and the TLS version of
// both legs.
import { certProfiles, tlsVersions } from 'mitm-tls';
import { z } from 'zod';

import { count, filePath, reading, text, wholeNumber } from './field.ts';
import { tlsBackoffSchema } from './tls-backoff.ts';

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
    caKeyPath: filePath()
      .optional()
      .describe(
        'PEM file with the private key of the authority, readable by nobody else. It may be the same file as `caCertPath`.',
      ),
    caKeyPassphrase: text()
      .optional()
      .describe(
        'What the private key is encrypted with; an authority that the proxy makes is encrypted with it. Never logged.',
      ),
    caKeyPassphraseFile: filePath()
      .optional()
      .describe('File whose first line is the passphrase, in place of `caKeyPassphrase`.'),
    minVersion: z
      .enum(tlsVersions)
      .default('tls1.2')
      .describe('Lowest TLS version, for clients and for origins.'),
    captureFingerprint: z
      .boolean()
      .default(true)
      .describe(
        'Show policy, handler and events the JA3 and JA4 fingerprints of each ClientHello; each is computed when it is first read.',
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
      .describe(
        'Age at which the authority in `caCertPath` gets a successor, in seconds. Without it, never. An authority that the program passes itself is not replaced by age.',
      ),
    caRotateOverlapSeconds: wholeNumber('seconds', 0, tenYearsInSeconds)
      .default(604_800)
      .describe(
        'How long the old authority signs on after its successor was announced, in seconds: the time that clients have to be told to trust the new one, which lies beside the old, as in `ca.next.pem`.',
      ),
    caCommonName: authorityName('common name')
      .default('soth-mitm Local CA')
      .describe('Common name of an authority that the proxy makes.'),
    caOrganization: authorityName('organization')
      .default('soth-mitm')
      .describe('Organization of an authority that the proxy makes.'),
    crlUrl: crlAddress()
      .optional()
      .describe(
        'Address of a revocation list, put into the certificates of hosts for clients that insist on one, such as Schannel. The proxy answers requests for it with an empty list. Without it certificates name none.',
      ),
    keyLogPath: filePath()
      .optional()
      .describe(
        'File to which the secrets of every TLS connection are appended, both legs, in the format of `SSLKEYLOGFILE`. Whoever has it can read the traffic: for debugging only.',
      ),
    backoff: tlsBackoffSchema,
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
  .superRefine((tls, ctx) => {
    if (tls.caKeyPassphrase === undefined || tls.caKeyPassphraseFile === undefined) return;
    ctx.addIssue({
      code: 'custom',
      path: ['caKeyPassphraseFile'],
      message: 'must not be given together with caKeyPassphrase: give one of them',
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

/** Whoever checks a certificate asks for the list without TLS, which would need another check (RFC 5280 §8). */
function crlAddress(): z.ZodString {
  return text()
    .max(1_000)
    .refine(isPlainAddress, { error: 'must be an http:// address, as in http://proxy.example:8080/ca.crl' });
}

function isPlainAddress(address: string): boolean {
  const url = URL.parse(address);
  return url?.protocol === 'http:' && url.href === address && url.username === '' && url.hash === '';
}
