// TLS with the client of an intercepted connection: the leaf for the names it asked for, the handshake, and a watch over what comes up
// when that is done.
import { errorText, Failure, type Flow, type TlsInfo } from 'mitm-core';
import type { ClientHello, LeafContext, TlsClientFingerprint } from 'mitm-tls';

import {
  type AcceptedTls,
  acceptTls,
  type AcceptTlsOptions,
  HandshakeError,
  unusedError,
} from '../handshake/accept-tls.ts';
import { watchAfterHandshake } from '../handshake/after-handshake.ts';
import {
  handshakeFailed,
  type HandshakeFacts,
  type HandshakeFailure,
  handshakeStarted,
  handshakeSucceeded,
} from '../handshake/report.ts';
import type { Runtime } from '../runtime.ts';
import type { Session } from '../session.ts';
import type { Wire } from '../wire.ts';
import { withFingerprint } from './client-fingerprint.ts';
import { sniRelation } from './sni-relation.ts';

/** A client that leaves within this time of seeing our certificate may have left because of it. */
const AT_ONCE_MS = 2_000;

/** What the handshake is to come to. */
export interface Agreed {
  readonly hello: ClientHello;
  readonly fingerprint: TlsClientFingerprint | undefined;
  readonly alpn: readonly string[];
  /** Why the origin can't be spoken to. */
  readonly failure: Failure | undefined;
}

/**
 * TLS with the client, as the host it asked for, speaking what the origin speaks. The connection's `tlsInfo` is known then, and whatever
 * comes up later is reported.
 *
 * @throws Failure `tls_handshake_failed`; the stream is destroyed then
 */
export async function shakeHands(
  flow: Flow,
  session: Session,
  runtime: Runtime,
  agreed: Agreed,
): Promise<AcceptedTls> {
  const { hello } = agreed;
  const { host } = flow.route.target;
  // After a failure of the origin the flow's course is over; what follows only explains it.
  const facts = {
    peer: 'downstream',
    role: agreed.failure === undefined ? 'own' : 'dial',
    sni: hello.sni,
  } as const;
  const fail = (error: unknown, stage: string, hadCertificate = false): Failure => {
    handshakeFailed(runtime, flow, { ...facts, host, error, hadCertificate, offersEch: hello.hasEch });
    return new Failure('tls_handshake_failed', {
      side: 'client',
      detail: `${stage}: ${errorText(error)}`,
      cause: error,
    });
  };
  let leaf: LeafContext;
  try {
    leaf = await runtime.certificates.contextFor(
      hello.sni === undefined || hello.sni === host ? [host] : [hello.sni, host],
      hello,
    );
  } catch (error) {
    throw fail(error, 'downstream leaf issuance error');
  }
  handshakeStarted(flow, {
    ...facts,
    fingerprint: agreed.fingerprint,
    certCacheStatus: leaf.status,
    sniRelation: sniRelation(hello, host),
    hasEch: hello.hasEch,
  });
  const sinceMs = performance.now();
  try {
    const accepted = await inTurn(runtime, session.wire, {
      context: leaf.context,
      alpn: agreed.alpn,
      timeoutMs: flow.config.timeouts.handshakeMs,
      keyLog: runtime.keyLog,
    });
    flow.connection.tlsInfo = tlsInfoOf(runtime, agreed, accepted);
    handshakeSucceeded(flow, { ...facts, alpn: accepted.alpn, version: accepted.version });
    watchClient(flow, runtime, { ...facts, role: 'dial', host, offersEch: hello.hasEch }, accepted.wire);
    return accepted;
  } catch (error) {
    if (!(error instanceof HandshakeError)) throw error;
    throw fail(
      error.cause ?? error,
      'downstream handshake failed',
      performance.now() - sinceMs <= AT_ONCE_MS,
    );
  }
}

/** A handshake takes as long as a leaf: in a burst of them, others are served in between. */
function inTurn(runtime: Runtime, wire: Wire, options: AcceptTlsOptions): Promise<AcceptedTls> {
  return runtime.certificates.turns.run(() => acceptTls(wire, options));
}

function tlsInfoOf(
  { engine }: Runtime,
  { hello, fingerprint }: Agreed,
  { alpn, version, cipher }: AcceptedTls,
): TlsInfo {
  const info = {
    ...(hello.sni === undefined ? {} : { sni: hello.sni }),
    ...(alpn === undefined ? {} : { negotiatedProto: alpn }),
    ...(version === undefined ? {} : { version }),
    ...(cipher === undefined ? {} : { cipher }),
  };
  // Whoever is shown the process is shown these facts too. For nobody, no hello is kept to compute fingerprints of.
  const isRead = engine.handler.readsProcess || engine.hasOwnPolicy;
  return isRead ? withFingerprint(info, fingerprint) : info;
}

/** Reports what comes up on the client's side when its handshake is done. */
function watchClient(
  flow: Flow,
  runtime: Runtime,
  facts: Pick<HandshakeFailure, keyof HandshakeFacts | 'host' | 'offersEch'>,
  wire: Wire,
): void {
  const late = { ...facts, isLate: true, hadCertificate: true } as const;
  watchAfterHandshake(wire.socket, {
    failed: (error) => void handshakeFailed(runtime, flow, { ...late, error }),
    closedUnused: () =>
      void handshakeFailed(runtime, flow, {
        ...late,
        error: unusedError(),
        cause: 'closed_unused',
        isInferred: true,
      }),
  });
}
