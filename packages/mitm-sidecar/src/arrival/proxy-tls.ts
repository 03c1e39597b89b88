// TLS with the proxy itself: the client speaks to an `https://` proxy address, and HTTP/1.1 inside.
import { errorText, Failure, type Flow } from 'mitm-core';

import { gather } from '../gather.ts';
import { type AcceptedTls, acceptTls, HandshakeError } from '../handshake/accept-tls.ts';
import type { Session } from '../session.ts';
import type { WayIn } from './way-in.ts';

/** The first byte of a TLS handshake record (RFC 8446 §5.1). */
const HANDSHAKE_RECORD = 22;

/**
 * Shakes hands as the proxy. The session goes on inside TLS.
 *
 * @throws Failure `tls_handshake_failed`, or `client_aborted` when nothing came; plain HTTP gets a 400 that says what is wrong
 */
export async function acceptProxyTls(
  flow: Flow,
  session: Session,
  context: NonNullable<WayIn['tls']>,
): Promise<void> {
  const { result } = gather(session.wire, {
    recognise: (bytes) => bytes[0],
    timeoutMs: flow.config.timeouts.handshakeMs,
    timeStarts: 'first_byte',
    silenceMs: flow.config.connectionPool.idleTimeoutMs,
  });
  const first = await result;
  if (first.kind !== 'found')
    throw new Failure('client_aborted', { side: 'client', detail: 'nothing was sent' });
  if (first.value !== HANDSHAKE_RECORD)
    throw new Failure('tls_handshake_failed', {
      side: 'client',
      detail: 'proxy: the client does not speak TLS',
      reply: { status: 400, body: 'this proxy is spoken to over TLS: use an https:// proxy address\n' },
    });
  session.wire = (await shakeHands(flow, session, context)).wire;
}

async function shakeHands(
  flow: Flow,
  session: Session,
  context: NonNullable<WayIn['tls']>,
): Promise<AcceptedTls> {
  try {
    return await acceptTls(session.wire, {
      context: await context(),
      alpn: ['http/1.1'],
      timeoutMs: flow.config.timeouts.handshakeMs,
    });
  } catch (error) {
    if (!(error instanceof HandshakeError)) throw error;
    throw new Failure('tls_handshake_failed', {
      side: 'client',
      detail: `proxy: ${errorText(error.cause ?? error)}`,
      cause: error,
    });
  }
}
