// Reaches the next hop: a TCP connection within the connect deadline. Both address families are tried as RFC 8305
// describes, which Node does by itself.
import { connect, isIP, type Socket, type TcpNetConnectOpts } from 'node:net';

import { errorText, Failure, type Route } from 'mitm-core';

import { Wire } from '../wire.ts';
import type { DialGuard } from './address-guard.ts';

/** Bytes of the buffer that one connection reads into. */
const READ_BUFFER_BYTES = 65_536;

export interface DialOptions {
  readonly timeoutMs: number;
  /** Told of each socket as soon as it is made, long before it is connected. */
  readonly onSocket?: ((socket: Socket) => void) | undefined;
  /** Keeps the dial from addresses that it must not reach; without it, it may reach any. */
  readonly guard?: DialGuard | undefined;
}

/**
 * Opens a TCP connection to a route's next hop.
 *
 * @throws Failure `upstream_connect_failed` with a 502, or a 504 when the time ran out, or what the guard refuses with
 */
export function dial(route: Route, options: DialOptions): Promise<Socket> {
  return connected(route, options, {});
}

async function connected(
  route: Route,
  options: DialOptions,
  reading: Pick<TcpNetConnectOpts, 'onread'>,
): Promise<Socket> {
  const { host, port } = route.nextHop;
  const { guard } = options;
  if (isIP(host) !== 0) guard?.check(host);
  return new Promise((resolve, reject) => {
    const socket = connect({
      ...reading,
      host,
      port,
      ...(guard === undefined ? {} : { lookup: guard.lookup }),
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 60_000,
      allowHalfOpen: true,
    });
    options.onSocket?.(socket);
    const fail = (error: Error): void => {
      part();
      socket.on('error', () => {});
      socket.destroy();
      reject(dialFailure(route, error));
    };
    const onConnect = (): void => {
      part();
      resolve(socket);
    };
    const timer = setTimeout(() => fail(connectTimedOut(options.timeoutMs)), options.timeoutMs);
    const part = (): void => {
      clearTimeout(timer);
      socket.removeListener('error', fail);
      socket.removeListener('connect', onConnect);
    };
    socket.on('error', fail);
    socket.on('connect', onConnect);
  });
}

/**
 * Opens a TCP connection that reads into one buffer of its own: for bytes that are passed on at once.
 *
 * @throws Failure as `dial` does
 */
export async function dialVolatile(route: Route, options: DialOptions): Promise<Wire> {
  // The wire is made when the connection stands, before anything can be read from it.
  const holder: { wire: Wire | undefined } = { wire: undefined };
  const onread = {
    buffer: Buffer.allocUnsafeSlow(READ_BUFFER_BYTES),
    callback: (length: number, buffer: Uint8Array): boolean => {
      const { wire } = holder;
      if (wire === undefined) return false;
      wire.receive(Buffer.from(buffer.buffer, buffer.byteOffset, length));
      return wire.isReading;
    },
  };
  const socket = await connected(route, options, { onread });
  holder.wire = new Wire(socket, { isVolatile: true });
  return holder.wire;
}

/** The error of a dial that took too long. */
export function connectTimedOut(timeoutMs: number): Error {
  return Object.assign(new Error(`connect timed out after ${timeoutMs} ms`), { code: 'ETIMEDOUT' });
}

/** How a next hop that can't be reached is reported: 504 when time ran out, else 502 (RFC 9110 §15.6). */
export function dialFailure(route: Route, given: Error): Failure {
  // What a guard refuses a name with comes back as the error of its lookup.
  if (given instanceof Failure) return given;
  // A name with several addresses fails with all their errors in one, which says nothing itself.
  const [first] = given instanceof AggregateError ? given.errors : [];
  const error = first instanceof Error ? first : given;
  const isTimeout = (error as NodeJS.ErrnoException).code === 'ETIMEDOUT';
  return new Failure('upstream_connect_failed', {
    side: 'upstream',
    detail: `upstream_connect_failed[${route.mode}]: ${errorText(error)}`,
    reply: isTimeout
      ? { status: 504, body: `the proxy could not reach ${route.target.host}: no answer in time\n` }
      : { status: 502, body: `the proxy could not reach ${route.target.host}: ${reasonWord(error)}\n` },
    cause: error,
  });
}

function reasonWord(error: Error): string {
  const words: Record<string, string> = {
    ECONNREFUSED: 'connection refused',
    ECONNRESET: 'connection reset',
    ENOTFOUND: 'name not found',
    EAI_AGAIN: 'name lookup failed',
    EHOSTUNREACH: 'host unreachable',
    ENETUNREACH: 'network unreachable',
  };
  return words[(error as NodeJS.ErrnoException).code ?? ''] ?? 'connection failed';
}
