// The lane of clients that take the proxy for their origin: TLS goes to the server name it asks for, HTTP to its Host. The name
// that is judged is the name that is dialled, so that a client that lies about it reaches only what was judged.
import { Failure, type Flow } from 'mitm-core';
import { type Authority, AuthorityError, canonicalHost } from 'mitm-http';
import type { CloseReason } from 'mitm-observe';
import type { ClientHello } from 'mitm-tls';

import { tlsAnswering } from '../arrival/answering.ts';
import { peekBeginning } from '../handshake/peek.ts';
import type { Runtime } from '../runtime.ts';
import type { Session } from '../session.ts';
import { blockedByPolicy } from './block.ts';
import { fingerprintOf } from './client-fingerprint.ts';
import { forward, forwardStreams } from './forward.ts';
import { peekOptions, serveBeginning } from './intercept.ts';
import { judgeConnection } from './judge-connection.ts';
import type { Lane } from './lane.ts';
import { tunnel } from './tunnel.ts';

/** Serves a connection to a listener of kind `direct`. */
export async function serveDirect(
  flow: Flow,
  session: Session,
  runtime: Runtime,
): Promise<CloseReason | Lane> {
  const beginning = await peekBeginning(session.wire, undefined, peekOptions(flow));
  switch (beginning.kind) {
    case 'tls': {
      session.answering = tlsAnswering;
      const host = serverNameOf(beginning.hello);
      if (host === undefined) throw namelessHello(flow);
      return serveNamedTls(flow, session, runtime, {
        hello: beginning.hello,
        target: { host, port: session.wayIn.targetPort },
      });
    }
    case 'http1':
      return forward;
    case 'http2':
      return flow.config.http2Enabled ? forwardStreams : refuseUnknown(flow);
    case 'unknown':
    case 'upstream_first':
      return refuseUnknown(flow);
  }
}

export interface NamedTls {
  readonly hello: ClientHello;
  readonly target: Authority;
}

/**
 * Serves TLS without a CONNECT. Whatever can be said to the client is said inside TLS: policy's refusal, and an origin that is not
 * reached.
 */
export async function serveNamedTls(
  flow: Flow,
  session: Session,
  runtime: Runtime,
  { hello, target }: NamedTls,
): Promise<CloseReason | Lane> {
  session.answering = tlsAnswering;
  const fingerprint = fingerprintOf(flow, hello);
  const { action, decision } = await judgeConnection(flow, runtime, target, {
    hello: {
      alpn: hello.alpn,
      ...(hello.sni === undefined ? {} : { sni: hello.sni }),
      fingerprint,
    },
  });
  if (action === 'tunnel') return tunnel;
  // Only policy's own verdict comes out the same when the hello is judged once more.
  if (action === 'block' && decision.action !== 'block') throw blockedByPolicy(decision);
  return serveBeginning(flow, session, runtime, {
    beginning: { kind: 'tls', hello },
    held: undefined,
    fingerprint,
  });
}

/** The server name of a hello as a host; undefined where it names none that could be dialled. */
export function serverNameOf({ sni }: ClientHello): string | undefined {
  if (sni === undefined) return undefined;
  try {
    return canonicalHost(sni);
  } catch (error) {
    if (error instanceof AuthorityError) return undefined;
    throw error;
  }
}

function namelessHello(flow: Flow): Failure {
  const detail = 'the ClientHello names no server';
  flow.emit('connect_parse_failed', { parseErrorCode: 'invalid_authority', parseErrorDetail: detail });
  return new Failure('connect_parse_failed', { side: 'client', detail });
}

function refuseUnknown(flow: Flow): never {
  const detail = 'the first bytes are neither TLS nor HTTP';
  flow.emit('connect_parse_failed', { parseErrorCode: 'invalid_request_line', parseErrorDetail: detail });
  throw new Failure('connect_parse_failed', {
    side: 'client',
    detail: 'invalid_request_line',
    reply: { status: 400, body: `${detail}\n` },
  });
}
