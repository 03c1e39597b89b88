// The TLS handshake with an origin: over a TCP connection that is already there, or together with dialling it, which
// lets the stream read into one buffer of its own.
import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';

import { identityError, type RevocationFacts } from 'mitm-tls';

import type { DialGuard } from '../upstream/address-guard.ts';
import { connectTimedOut } from '../upstream/dial.ts';
import type { UpstreamTarget, UpstreamTls } from '../upstream/target.ts';
import { Wire } from '../wire.ts';
import { goneError, isOver, timedOut } from './accept-tls.ts';
import type { KeyLog } from './key-log.ts';
import { StapleWatch } from './staple-watch.ts';

export interface ConnectTlsOptions {
  readonly connectTimeoutMs: number;
  readonly handshakeTimeoutMs: number;
  /** A session of an earlier connection with the same key. */
  readonly session?: Buffer | undefined;
  /** Told of a session that a later connection with the same key may use. */
  readonly onSession?: ((session: Buffer) => void) | undefined;
  /** The TCP connection stands and the handshake begins; only where it is dialled here. */
  readonly onConnected?: (() => void) | undefined;
  readonly keyLog?: KeyLog | undefined;
  /** Told of the socket as soon as it is made; only where it is dialled here. */
  readonly onSocket?: ((socket: TLSSocket) => void) | undefined;
  /** Keeps the dial from addresses that it must not reach; only where it is dialled here. */
  readonly guard?: DialGuard | undefined;
}

export interface ConnectedTls {
  readonly wire: Wire;
  /** What the origin chose; undefined when it chose nothing. */
  readonly alpn: string | undefined;
  readonly version: string | undefined;
  /** What the origin's certificate says about its revocation; judged when it is asked for. */
  readonly revocation: () => RevocationFacts;
}

/** A connection to an origin that did not come to be: either it was not reached, or TLS failed. */
export class ConnectTlsError extends Error {
  readonly stage: 'connect' | 'handshake';
  override readonly cause: Error;
  /** Where the handshake came so far. */
  readonly revocation: RevocationFacts | undefined;

  constructor(stage: 'connect' | 'handshake', cause: Error, revocation?: RevocationFacts) {
    super(cause.message, { cause });
    this.name = 'ConnectTlsError';
    this.stage = stage;
    this.cause = cause;
    this.revocation = revocation;
  }
}

/** Bytes of the buffer that one upstream connection reads into: four TLS records. */
const READ_BUFFER_BYTES = 65_536;

/** Shakes hands over a TCP connection. @throws ConnectTlsError */
export async function connectTlsOver(
  socket: Duplex,
  tls: UpstreamTls,
  options: ConnectTlsOptions,
): Promise<ConnectedTls> {
  if (isOver(socket)) {
    socket.destroy();
    throw new ConnectTlsError('handshake', goneError());
  }
  const stream = connect({ ...tlsOptions(tls, options), socket });
  return completion(stream, new Wire(stream), { ...options, tls }, 'handshake');
}

/** Dials the next hop of a target and shakes hands. @throws ConnectTlsError, or what the guard refuses an address with */
export async function dialTls(
  target: UpstreamTarget,
  tls: UpstreamTls,
  options: ConnectTlsOptions,
): Promise<ConnectedTls> {
  // The wire is made right after the stream and long before the first byte.
  const holder: { wire: Wire | undefined } = { wire: undefined };
  const { host, port } = target.route.nextHop;
  const { guard } = options;
  if (isIP(host) !== 0) guard?.check(host);
  const stream = connect({
    ...tlsOptions(tls, options),
    host,
    port,
    ...(guard === undefined ? {} : { lookup: guard.lookup }),
    // An upgraded connection may end one direction before the other. Over a given socket, that socket's setting holds.
    allowHalfOpen: true,
    onread: {
      buffer: Buffer.allocUnsafeSlow(READ_BUFFER_BYTES),
      callback: (length: number, buffer: Uint8Array): boolean => {
        const { wire } = holder;
        if (wire === undefined) return true;
        wire.receive(Buffer.from(buffer.buffer, buffer.byteOffset, length));
        return wire.isReading;
      },
    },
  } as ConnectionOptions);
  options.onSocket?.(stream);
  stream.setNoDelay(true);
  stream.setKeepAlive(true, 60_000);
  holder.wire = new Wire(stream, { isVolatile: true });
  return completion(stream, holder.wire, { ...options, tls }, 'connect');
}

/** Node's types know this option on servers only. */
interface StapleOption {
  readonly requestOCSP: boolean;
}

function tlsOptions(tls: UpstreamTls, options: ConnectTlsOptions): ConnectionOptions & StapleOption {
  return {
    secureContext: tls.context(),
    servername: tls.servername,
    ALPNProtocols: [...tls.alpn],
    rejectUnauthorized: tls.isVerified,
    requestOCSP: tls.revocationMode !== 'off',
    checkServerIdentity: (_servername, certificate) => identityError(tls.verifyHost, certificate),
    ...(options.session === undefined ? {} : { session: options.session }),
  };
}

function completion(
  stream: TLSSocket,
  wire: Wire,
  options: ConnectTlsOptions & { readonly tls: UpstreamTls },
  firstStage: 'connect' | 'handshake',
): Promise<ConnectedTls> {
  const { onSession, tls } = options;
  options.keyLog?.watch(stream);
  const staple = new StapleWatch(stream, tls.revocationMode);
  if (onSession !== undefined) stream.on('session', onSession);
  return new Promise((resolve, reject) => {
    let stage = firstStage;
    let failure: Error | undefined;
    let revocation: RevocationFacts | undefined;
    const fail = (error: Error): void => {
      failure ??= error;
      stream.destroy();
    };
    const onClose = (): void => {
      part();
      reject(new ConnectTlsError(stage, failure ?? goneError(), revocation));
    };
    const onConnect = (): void => {
      stage = 'handshake';
      options.onConnected?.();
      clearTimeout(timer);
      timer = setTimeout(() => fail(timedOut(options.handshakeTimeoutMs)), options.handshakeTimeoutMs);
    };
    const onSecure = (): void => {
      const refusal = tls.isVerified ? staple.refusal() : undefined;
      if (refusal !== undefined) {
        revocation = staple.facts();
        fail(refusal);
        return;
      }
      part();
      resolve({
        wire,
        alpn: typeof stream.alpnProtocol === 'string' ? stream.alpnProtocol : undefined,
        version: stream.getProtocol() ?? undefined,
        revocation: () => staple.facts(),
      });
    };
    let timer =
      firstStage === 'connect'
        ? setTimeout(() => fail(connectTimedOut(options.connectTimeoutMs)), options.connectTimeoutMs)
        : setTimeout(() => fail(timedOut(options.handshakeTimeoutMs)), options.handshakeTimeoutMs);
    const part = (): void => {
      clearTimeout(timer);
      stream.removeListener('error', fail);
      stream.removeListener('close', onClose);
      stream.removeListener('connect', onConnect);
      stream.removeListener('secureConnect', onSecure);
    };
    stream.on('error', fail);
    stream.on('close', onClose);
    if (firstStage === 'connect') stream.on('connect', onConnect);
    stream.on('secureConnect', onSecure);
  });
}
