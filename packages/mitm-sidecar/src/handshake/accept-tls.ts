// The TLS handshake with the client, on a stream whose first bytes have been read already: we are the server, with the
// leaf that was made for it.
import type { Duplex } from 'node:stream';
import { TLSSocket, type SecureContext } from 'node:tls';

import { Wire } from '../wire.ts';
import type { KeyLog } from './key-log.ts';

export interface AcceptTlsOptions {
  readonly context: SecureContext;
  /** What to agree on: one name, or none when the origin named none. */
  readonly alpn: readonly string[];
  readonly timeoutMs: number;
  readonly keyLog?: KeyLog | undefined;
}

export interface AcceptedTls {
  readonly wire: Wire;
  /** The agreed protocol; undefined when the client offered none or none fitted. */
  readonly alpn: string | undefined;
  readonly version: string | undefined;
  readonly cipher: string | undefined;
}

/** A handshake that failed, with the bare error of the TLS stack to classify. */
export class HandshakeError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'HandshakeError';
  }
}

/**
 * Completes the handshake with the client.
 *
 * @throws HandshakeError; the stream is destroyed then
 */
export async function acceptTls(client: Wire, options: AcceptTlsOptions): Promise<AcceptedTls> {
  const stream = client.release();
  if (isOver(stream)) {
    stream.destroy();
    const cause = goneError();
    throw new HandshakeError(cause.message, cause);
  }
  const tls = new TLSSocket(stream, {
    isServer: true,
    secureContext: options.context,
    ALPNProtocols: [...options.alpn],
    requestCert: false,
    // The client's half of a tunnel inside TLS may end before ours.
    allowHalfOpen: true,
  } as ConstructorParameters<typeof TLSSocket>[1]);
  options.keyLog?.watch(tls);
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => fail(timedOut(options.timeoutMs)), options.timeoutMs);
    let failure: Error | undefined;
    const fail = (error: Error): void => {
      failure ??= error;
      tls.destroy();
    };
    const onClose = (): void => {
      part();
      // A peer that goes away in the middle of the handshake leaves only a `close`.
      const cause = failure ?? goneError();
      reject(new HandshakeError(cause.message, cause));
    };
    // The stream is half-open, so a peer that ends it now would leave us waiting.
    const onEnd = (): void => fail(goneError());
    const onSecure = (): void => {
      part();
      // A server-side TLSSocket made by hand keeps saying that it connects; clear that for whoever asks it.
      Reflect.set(tls, 'secureConnecting', false);
      resolve(acceptedOf(tls));
    };
    const part = (): void => {
      clearTimeout(timer);
      tls.removeListener('secure', onSecure);
      tls.removeListener('end', onEnd);
      tls.removeListener('close', onClose);
      tls.removeListener('_tlsError', fail);
      tls.removeListener('error', fail);
      if (failure !== undefined) tls.on('error', () => {});
    };
    tls.on('error', fail);
    tls.on('_tlsError', fail);
    tls.on('secure', onSecure);
    tls.on('end', onEnd);
    tls.on('close', onClose);
    // Kick the stream: a paused one would never deliver the hello that was put back.
    (tls as Duplex).resume();
    tls.pause();
  });
}

function acceptedOf(tls: TLSSocket): AcceptedTls {
  return {
    wire: new Wire(tls),
    alpn: typeof tls.alpnProtocol === 'string' ? tls.alpnProtocol : undefined,
    version: tls.getProtocol() ?? undefined,
    cipher: tls.getCipher()?.name,
  };
}

/** True for a stream over which no handshake can be completed any more. */
export function isOver(stream: Duplex): boolean {
  return stream.destroyed || stream.readableEnded || !stream.writable;
}

/** The error of a handshake whose peer went away. */
export function goneError(): Error {
  return Object.assign(new Error('connection reset during the handshake'), { code: 'ECONNRESET' });
}

/** The error of a client that left at once after its handshake. */
export function unusedError(): Error {
  return Object.assign(new Error('connection closed by the client right after the handshake'), {
    code: 'ECONNRESET',
  });
}

/** The error of a handshake that took too long. */
export function timedOut(timeoutMs: number): Error {
  return Object.assign(new Error(`handshake timed out after ${timeoutMs} ms`), {
    code: 'ERR_TLS_HANDSHAKE_TIMEOUT',
  });
}
