// Configuration of the way to the origin: waiting, retrying, and what is asked of its certificate.
import { parseHostRule } from 'mitm-policy';
import {
  clientAuthModes,
  fingerprintClasses,
  fingerprintModes,
  revocationModes,
  sniModes,
  tlsProfiles,
} from 'mitm-tls';
import { z } from 'zod';

import { filePath, milliseconds, readableBy, reading, text } from './field.ts';

/** Whose certificate authorities count for origins. */
export const trustSources = ['bundled', 'system', 'both'] as const;
export type TrustSource = (typeof trustSources)[number];

/** What happens to an HTTP/2 answer that is larger than the handler's copy may be. */
export const responseOverflowModes = ['truncate_continue', 'strict_fail'] as const;
export type ResponseOverflowMode = (typeof responseOverflowModes)[number];

const waitingFields = {
  timeoutMs: milliseconds()
    .default(600_000)
    .describe('Time for an origin to begin its answer over HTTP/1, in milliseconds. Late is 504.'),
  connectTimeoutMs: milliseconds()
    .default(10_000)
    .describe('Time to resolve the name of the next hop and to connect to it, in milliseconds. Late is 504.'),
  retryOnFailure: z
    .boolean()
    .default(false)
    .describe(
      'Try once more when the next hop could not be reached, since nothing has been sent by then, or when a new connection ended before any answer to a request that may be repeated.',
    ),
  retryDelayMs: milliseconds(0)
    .default(200)
    .describe('Pause before that second attempt, in milliseconds. 0 is none.'),
  h2HeaderStageTimeoutMs: milliseconds()
    .default(600_000)
    .describe('Time for an origin to begin its answer over HTTP/2, in milliseconds. Late is 504.'),
  h2BodyIdleTimeoutMs: milliseconds()
    .default(600_000)
    .describe('Longest silence inside an HTTP/2 body, in milliseconds. Then the stream is reset.'),
  h2ResponseOverflowMode: z
    .enum(responseOverflowModes)
    .default('truncate_continue')
    .describe(
      "What happens when an HTTP/2 answer is larger than `body.maxSizeBytes`: `truncate_continue` passes all of it on and cuts only the handler's copy, `strict_fail` ends the stream.",
    ),
};

const clientCertificateSchema = z.strictObject({
  hosts: z
    .array(readableBy(parseHostRule))
    .min(1, { error: 'must name at least one host that the certificate is for' })
    .describe('Origins that it is shown to, written like `ignoreHosts`; the port may be left out.'),
  certPath: filePath().describe('PEM file with the certificate and its chain.'),
  keyPath: filePath().describe('PEM file with its private key.'),
  keyPassphrase: text().optional().describe('Passphrase of an encrypted key.'),
});

const tlsFields = {
  verifyUpstreamTls: z
    .boolean()
    .default(true)
    .describe(
      "Verify the origin's certificate. With false, whoever sits between can read and change the traffic.",
    ),
  trust: z
    .enum(trustSources)
    .default('both')
    .describe(
      "Whose certificate authorities count: those `bundled` with Node, those of the `system`, or `both`. The proxy's own authority never counts.",
    ),
  caPaths: z
    .array(filePath())
    .default([])
    .describe('PEM files with further authorities that count, in addition to `trust`.'),
  tlsProfile: z
    .enum(tlsProfiles)
    .default('default')
    .describe(
      'TLS towards origins: `strict` is TLS 1.3 only, `default` is what Node offers, `compat` also accepts what old origins need, such as short keys. Certificates are verified in all three.',
    ),
  sniMode: z
    .enum(sniModes)
    .default('auto')
    .describe(
      'Server name in the ClientHello: `auto` sends it unless the target is an IP address, `required` refuses such targets, `disabled` never sends it. The certificate is checked against the target in any case.',
    ),
  clientAuthMode: z
    .enum(clientAuthModes)
    .default('never')
    .describe(
      'Whether a client certificate is shown to origins that ask for one: `never`, `if_requested`, or `required`, which does not start without one. An origin that wants one and gets none, or does not accept it, is explained to the client by a 502.',
    ),
  clientCertPath: filePath()
    .optional()
    .describe(
      'PEM file with the client certificate and its chain. Given only together with `clientKeyPath`.',
    ),
  clientKeyPath: filePath().optional().describe('PEM file with the private key of the client certificate.'),
  clientCertificates: z
    .array(clientCertificateSchema)
    .default([])
    .describe(
      'Client certificates for single origins; the first whose `hosts` match is shown. `clientCertPath` is for all others.',
    ),
  revocationMode: z
    .enum(revocationModes)
    .default('passive_observe')
    .describe(
      'What is done about revoked certificates of origins: `off` asks for nothing, `passive_observe` asks for the OCSP status that origins staple and reports it, `enforce` also refuses a certificate whose staple says revoked, and one that promises a staple (RFC 7633) and comes without a good one. No authority is asked over the network.',
    ),
  fingerprintMode: z
    .enum(fingerprintModes)
    .default('native')
    .describe(
      'What our ClientHello to origins is like: `native` is that of Node, `compat_class` resembles that of `fingerprintClass`, and `mirror_client` resembles that of the client, which needs the optional package `tls-impersonate` and Node 24.15 or newer.',
    ),
  fingerprintClass: z
    .enum(fingerprintClasses)
    .default('native')
    .describe(
      "Whose cipher suites, groups and signature algorithms are offered, in that browser's order: `chrome_like` or `firefox_like`. It is a resemblance and no imitation: GREASE, the order of extensions and extensions that OpenSSL does not know stay different, as events of such handshakes say.",
    ),
};

export const upstreamSchema = z
  .strictObject({ ...waitingFields, ...tlsFields })
  .superRefine(
    (upstream, ctx) => {
      if (upstream.tlsProfile !== 'strict' || upstream.sniMode !== 'disabled') return;
      ctx.addIssue({
        code: 'custom',
        path: ['sniMode'],
        message: 'must not be disabled while upstream.tlsProfile is strict: use auto or required',
        input: upstream.sniMode,
      });
    },
    reading('tlsProfile', 'sniMode'),
  )
  .superRefine(
    (upstream, ctx) => {
      const isNativeClass = upstream.fingerprintClass === 'native';
      if ((upstream.fingerprintMode !== 'compat_class') === isNativeClass) return;
      ctx.addIssue({
        code: 'custom',
        path: ['fingerprintClass'],
        message: isNativeClass
          ? 'must be chrome_like or firefox_like while upstream.fingerprintMode is compat_class'
          : 'must be native unless upstream.fingerprintMode is compat_class',
        input: upstream.fingerprintClass,
      });
    },
    reading('fingerprintMode', 'fingerprintClass'),
  )
  .superRefine(
    (upstream, ctx) => {
      if (upstream.fingerprintMode !== 'mirror_client' || upstream.tlsProfile !== 'compat') return;
      ctx.addIssue({
        code: 'custom',
        path: ['fingerprintMode'],
        message:
          'must not be mirror_client while upstream.tlsProfile is compat: a mirrored hello takes no short keys',
        input: upstream.fingerprintMode,
      });
    },
    reading('fingerprintMode', 'tlsProfile'),
  )
  .superRefine((upstream, ctx) => {
    const missing = upstream.clientCertPath === undefined ? 'clientCertPath' : 'clientKeyPath';
    const other = missing === 'clientCertPath' ? 'clientKeyPath' : 'clientCertPath';
    if (upstream[missing] !== undefined || upstream[other] === undefined) return;
    ctx.addIssue({
      code: 'custom',
      path: [missing],
      message: `must be given together with ${other}: certificate and key belong together`,
      input: undefined,
    });
  }, reading())
  .superRefine(
    (upstream, ctx) => {
      const isListed = upstream.clientCertificates.length > 0;
      const isGiven =
        isListed || upstream.clientCertPath !== undefined || upstream.clientKeyPath !== undefined;
      if (upstream.clientAuthMode === 'required' && !isGiven) {
        ctx.addIssue({
          code: 'custom',
          path: ['clientCertPath'],
          message:
            'must be given, with clientKeyPath, or clientCertificates must list some, while upstream.clientAuthMode is required',
          input: undefined,
        });
      }
      if (upstream.clientAuthMode === 'never' && isGiven) {
        ctx.addIssue({
          code: 'custom',
          path: ['clientAuthMode'],
          message: 'must be if_requested or required for the client certificate to be used',
          input: upstream.clientAuthMode,
        });
      }
    },
    reading('clientAuthMode', 'clientCertificates'),
  )
  .prefault({})
  .describe('The way to origins: waiting, retrying, verifying.');
