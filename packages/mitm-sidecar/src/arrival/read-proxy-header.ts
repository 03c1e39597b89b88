// Who a connection is from: the client at the other end of the socket, or the one that a trusted forwarder names before
// anything else.
import { errorText, Failure, type SocketEndpoint, type SocketFamily } from 'mitm-core';

import { gather } from '../gather.ts';
import type { Session } from '../session.ts';
import { parseProxyHeader, type ProxyHeader } from './proxy-header.ts';

/** Whom a connection is from. */
export interface Sender {
  readonly family: SocketFamily;
  /** Who passed it on, and is not the client. */
  readonly forwarder?: SocketEndpoint;
  /** Why the connection can't be served. */
  readonly failure?: Failure;
}

/** Whether the other end of a socket is trusted to say whom it speaks for, and therefore has to. */
export function isForwarder({ wayIn }: Session, family: SocketFamily): boolean {
  return (
    wayIn.forwarders !== undefined &&
    family.kind !== 'unix_domain' &&
    wayIn.forwarders.has(family.remote.address)
  );
}

/** Reads the header of a forwarder and takes it off the wire. Never rejects: a fault is part of the result. */
export async function readSender(session: Session, family: SocketFamily, timeoutMs: number): Promise<Sender> {
  const { result } = gather(session.wire, {
    recognise: (bytes) => (bytes.length === 0 ? undefined : parseProxyHeader(bytes)),
    timeoutMs,
    timeStarts: 'now',
  });
  const read = await result;
  switch (read.kind) {
    case 'found':
      session.wire.skip(read.value.length);
      return senderOf(read.value, family);
    case 'failed':
      return { family, failure: headerFailure(errorText(read.error)) };
    case 'timeout':
      return { family, failure: headerFailure(`no whole header within ${timeoutMs} ms`) };
    case 'ended':
    case 'closed':
      // A forwarder that looks whether we are there says nothing at all.
      return { family, failure: read.received === 0 ? nothingSent() : headerFailure('cut short') };
  }
}

function senderOf({ ends }: ProxyHeader, family: SocketFamily): Sender {
  if (ends === undefined || family.kind === 'unix_domain') return { family };
  const kind = ends.remote.address.includes(':') ? 'tcp_v6' : 'tcp_v4';
  return { family: { kind, ...ends }, forwarder: family.remote };
}

// No answer: a forwarder that does not say whom it speaks for would read it as the client's.
function headerFailure(detail: string): Failure {
  return new Failure('proxy_header_failed', { side: 'client', detail: `proxy_header: ${detail}` });
}

function nothingSent(): Failure {
  return new Failure('client_aborted', { side: 'client', detail: 'nothing was sent' });
}
