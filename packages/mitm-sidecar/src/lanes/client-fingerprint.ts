// Who a client is by its hello, for those who ask: the configuration may switch it off, and where it is on nothing is computed before
// somebody reads it.
import type { Flow, TlsInfo } from 'mitm-core';
import type { PolicyInput } from 'mitm-policy';
import { type ClientHello, TlsClientFingerprint } from 'mitm-tls';

/** Where a JA4 is read from: a hello of which nothing may have been computed yet. */
export type Ja4Source = Pick<TlsInfo, 'ja4'>;

/** The fingerprints of a client's hello; undefined where they are switched off. */
export function fingerprintOf(flow: Flow, hello: ClientHello): TlsClientFingerprint | undefined {
  return flow.config.tls.captureFingerprint ? new TlsClientFingerprint(hello) : undefined;
}

/** Tells a policy the JA4 as well. It is computed when the policy reads it, so the input must not be copied on its way. */
export function withJa4(input: PolicyInput, source: Ja4Source | undefined): PolicyInput {
  if (source === undefined || !('ja4' in source)) return input;
  return Object.defineProperty(input, 'ja4', { get: () => source.ja4, enumerable: true });
}

/** Tells hooks the fingerprints as well, computed when they are read. */
export function withFingerprint(info: TlsInfo, fingerprint: TlsClientFingerprint | undefined): TlsInfo {
  if (fingerprint === undefined) return info;
  return Object.defineProperties(info, {
    ja3: { get: () => fingerprint.ja3, enumerable: true },
    ja4: { get: () => fingerprint.ja4, enumerable: true },
  });
}
