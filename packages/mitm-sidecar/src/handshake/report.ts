// What is said about a TLS handshake: its events, the failure counters, and the handler's `onTlsFailure`. A handshake of
// the connection moves its flow's state; one made for an exchange is only noted on that exchange's flow.
import { errorText, type Flow } from 'mitm-core';
import { type EventPayloads, tlsFailurePayload, type TlsPeer } from 'mitm-observe';
import { classifyTlsError, type TlsFailureReason } from 'mitm-tls';

import type { Runtime } from '../runtime.ts';

/** Whether a handshake belongs to the flow's own course, or to a dial made on the way of an exchange. */
export type HandshakeRole = 'own' | 'dial';

export interface HandshakeFacts {
  readonly peer: TlsPeer;
  readonly role: HandshakeRole;
  readonly sni?: string | undefined;
}

/** Reports the beginning of a handshake. */
export function handshakeStarted(
  flow: Flow,
  facts: HandshakeFacts & {
    readonly certCacheStatus?: 'hit' | 'miss';
    /** How the client's hello reads. */
    readonly ja3?: string | undefined;
    readonly ja4?: string | undefined;
  },
): void {
  const payload = {
    peer: facts.peer,
    ...(facts.certCacheStatus === undefined ? {} : { certCacheStatus: facts.certCacheStatus }),
    ...(facts.sni === undefined ? {} : { sni: facts.sni }),
    ...(facts.ja4 === undefined ? {} : { ja3: facts.ja3, ja4: facts.ja4 }),
  };
  if (facts.role === 'own') flow.emit('tls_handshake_started', payload);
  else flow.note('tls_handshake_started', payload);
}

/** Reports a handshake that is complete. */
export function handshakeSucceeded(
  flow: Flow,
  facts: HandshakeFacts & { readonly alpn: string | undefined; readonly version: string | undefined },
): void {
  const { alpn } = facts;
  const payload: EventPayloads['tls_handshake_succeeded'] = {
    peer: facts.peer,
    ...(alpn === 'h2' || alpn === 'http/1.1' ? { negotiatedAlpn: alpn } : {}),
    ...(facts.version === undefined ? {} : { tlsVersion: facts.version }),
  };
  if (facts.role === 'own') flow.emit('tls_handshake_succeeded', payload);
  else flow.note('tls_handshake_succeeded', payload);
}

/** Reports a handshake that failed, and says in which class it falls. */
export function handshakeFailed(
  runtime: Runtime,
  flow: Flow,
  facts: HandshakeFacts & { readonly host: string; readonly error: unknown },
): TlsFailureReason {
  const reason = classifyTlsError(facts.error);
  const text = errorText(facts.error);
  runtime.engine.handler.tlsFailed(flow, facts.host, `${facts.peer} handshake failed: ${text}`);
  const counts = runtime.diagnostics.record({
    host: facts.host,
    source: facts.peer,
    reason,
    nowMs: performance.now(),
  });
  const payload = tlsFailurePayload({ peer: facts.peer, reason, detail: text, counts, sni: facts.sni });
  if (facts.role === 'own') flow.emit('tls_handshake_failed', payload);
  else flow.note('tls_handshake_failed', payload);
  return reason;
}
