// What is said about a TLS handshake: its events, the failure counters, what is learnt from it, and the handler's `onTlsFailure`. A
// handshake of the connection moves its flow's state; one made for an exchange, and what comes up late, is only noted on the flow.
import { errorText, type Flow } from 'mitm-core';
import {
  type EventPayloads,
  type SniRelation,
  tlsFailurePayload,
  type TlsPeer,
  tlsProvider,
} from 'mitm-observe';
import {
  noRevocation,
  type RevocationFacts,
  type TlsClientFingerprint,
  type TlsErrorFacts,
  tlsErrorFacts,
  type TlsFailureCause,
} from 'mitm-tls';

import type { Runtime } from '../runtime.ts';
import type { UpstreamTls } from '../upstream/target.ts';

/** Whether a handshake belongs to the flow's own course, or to a dial made on the way of an exchange. */
export type HandshakeRole = 'own' | 'dial';

export interface HandshakeFacts {
  readonly peer: TlsPeer;
  readonly role: HandshakeRole;
  readonly sni?: string | undefined;
  /** Of our hello from the one that it resembles; asked only when somebody listens. */
  readonly differences?: (() => readonly string[]) | undefined;
}

/** What is told of a handshake with an origin. */
export function towardsOrigin(
  { servername, differences }: Pick<UpstreamTls, 'servername' | 'differences'>,
  role: HandshakeRole,
): HandshakeFacts & { readonly peer: 'upstream' } {
  return { peer: 'upstream', role, sni: servername === '' ? undefined : servername, differences };
}

/** What is known of a client's hello. */
export interface HelloFacts {
  readonly certCacheStatus?: 'hit' | 'miss';
  readonly sniRelation?: SniRelation;
  readonly hasEch?: boolean;
  /** Computed only when somebody listens. */
  readonly fingerprint?: TlsClientFingerprint | undefined;
}

/** Reports the beginning of a handshake. */
export function handshakeStarted(flow: Flow, facts: HandshakeFacts & HelloFacts): void {
  const { fingerprint, differences } = facts;
  const payload = {
    peer: facts.peer,
    ...fingerprintFields(flow),
    ...(facts.certCacheStatus === undefined ? {} : { certCacheStatus: facts.certCacheStatus }),
    ...(facts.sni === undefined ? {} : { sni: facts.sni }),
    ...(facts.sniRelation === undefined ? {} : { sniRelation: facts.sniRelation }),
    ...(facts.hasEch === true ? { echOffered: true } : {}),
    ...(fingerprint !== undefined && flow.wants('tls_handshake_started')
      ? { ja3: fingerprint.ja3, ja4: fingerprint.ja4 }
      : {}),
    ...(differences !== undefined && flow.wants('tls_handshake_started')
      ? { tlsFingerprintDifferences: differences().join(',') }
      : {}),
  };
  if (facts.role === 'own') flow.emit('tls_handshake_started', payload);
  else flow.note('tls_handshake_started', payload);
}

/**
 * Reports a handshake that is complete.
 *
 * @param facts.revocation judged only when somebody listens
 */
export function handshakeSucceeded(
  flow: Flow,
  facts: HandshakeFacts & {
    readonly alpn: string | undefined;
    readonly version: string | undefined;
    readonly revocation?: () => RevocationFacts;
  },
): void {
  const { alpn } = facts;
  const payload: EventPayloads['tls_handshake_succeeded'] = {
    peer: facts.peer,
    ...fingerprintFields(flow),
    ...(facts.sni === undefined ? {} : { sni: facts.sni }),
    ...(alpn === 'h2' || alpn === 'http/1.1' ? { negotiatedAlpn: alpn } : {}),
    ...(facts.version === undefined ? {} : { tlsVersion: facts.version }),
    ...(facts.revocation !== undefined && flow.wants('tls_handshake_succeeded') ? facts.revocation() : {}),
  };
  if (facts.role === 'own') flow.emit('tls_handshake_succeeded', payload);
  else flow.note('tls_handshake_succeeded', payload);
}

/** A failure as whoever noticed it describes it. */
export interface HandshakeFailure extends HandshakeFacts {
  readonly host: string;
  readonly error: unknown;
  /** What the error can't tell, but whoever noticed it knows. */
  readonly cause?: TlsFailureCause | undefined;
  readonly isLate?: boolean | undefined;
  readonly isInferred?: boolean | undefined;
  /** The client had our certificate, or must have had it, when it left or complained. */
  readonly hadCertificate?: boolean | undefined;
  /** The client's hello offers an encrypted one (RFC 9849): it may have left because it insists on that. */
  readonly offersEch?: boolean | undefined;
  readonly revocation?: RevocationFacts | undefined;
}

/** What a client that does not accept our certificate does: it says so, or it leaves. */
const refusals: ReadonlySet<TlsFailureCause> = new Set([
  'own_certificate_refused',
  'peer_gone',
  'closed_unused',
]);

/**
 * Whether a client may have left because of our certificate. One that offers an encrypted hello and leaves without a word may have said
 * `ech_required`: Node keeps alerts to itself that OpenSSL has no name for.
 */
function isRefusal({ peer, hadCertificate, offersEch }: HandshakeFailure, cause: TlsFailureCause): boolean {
  if (peer !== 'downstream' || hadCertificate !== true || !refusals.has(cause)) return false;
  return offersEch !== true || cause === 'own_certificate_refused';
}

/** Reports a handshake that failed, or TLS that failed after it, and says what it was. */
export function handshakeFailed(runtime: Runtime, flow: Flow, failure: HandshakeFailure): TlsErrorFacts {
  const { tls } = runtime;
  const { peer, host } = failure;
  const understood = tlsErrorFacts(failure.error, peer);
  const error = failure.cause === undefined ? understood : { ...understood, cause: failure.cause };
  const detail = errorText(failure.error);
  const isInferred = failure.isInferred ?? false;
  runtime.engine.handler.tlsFailed(flow, host, `${peer} handshake failed: ${detail}`);
  const counts = tls.diagnostics.record({
    host,
    source: peer,
    reason: error.reason,
    nowMs: performance.now(),
  });
  const signal = {
    host,
    failureReason: error.reason,
    failureSource: peer,
    provider: tlsProvider,
    isInferred,
  };
  const learning = tls.learning.ingest(signal);
  if (learning.decision === 'ignored') {
    flow.note('tls_learning_audit', {
      tlsLearningDecision: 'ignored',
      tlsLearningReasonCode: learning.reasonCode,
      tlsLearningGlobalApplied: learning.globalApplied,
      tlsLearningGlobalIgnored: learning.globalIgnored,
      signalHost: host,
      signalReason: error.reason,
      signalSource: peer,
      signalProvider: tlsProvider,
      signalInferred: isInferred,
    });
  }
  const payload = tlsFailurePayload({
    peer,
    error,
    detail,
    counts,
    learning,
    revocation: failure.revocation ?? revocationOf(flow, peer),
    fingerprint: { mode: flow.config.upstream.fingerprintMode, class: flow.config.upstream.fingerprintClass },
    isInferred,
    isLate: failure.isLate ?? false,
    sni: failure.sni,
  });
  if (failure.role === 'own') flow.emit('tls_handshake_failed', payload);
  else flow.note('tls_handshake_failed', payload);
  if (isRefusal(failure, error.cause)) tls.strike(flow);
  return error;
}

/** An origin that failed before its certificate could be judged says nothing about revocation. */
function revocationOf(flow: Flow, peer: TlsPeer): RevocationFacts {
  const mode = flow.config.upstream.revocationMode;
  if (peer === 'downstream') return noRevocation(mode);
  return {
    upstreamOcspStaplePresent: 'unknown',
    upstreamOcspStapleStatus: 'not_checked',
    revocationPolicyMode: mode,
    revocationDecision: 'no_signal',
  };
}

function fingerprintFields(flow: Flow): {
  readonly tlsFingerprintMode: string;
  readonly tlsFingerprintClass: string;
} {
  const { fingerprintMode, fingerprintClass } = flow.config.upstream;
  return { tlsFingerprintMode: fingerprintMode, tlsFingerprintClass: fingerprintClass };
}
