// A running proxy with everything around it that a test looks at, and clients for it. Letting go of the proxy checks what holds
// for all traffic: events in order, one close per flow, no event out of place, and nothing left open or held.
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import type { Engine, InterceptHandler, MitmConfigInput } from 'mitm-core';
import type { EventRecorder, MitmEvent } from 'mitm-observe';
import { expect } from 'vitest';

import { ByteLog, type Until } from '../../../testing/lab/byte-log.ts';
import { connectTunnel, destroyed, dialLoopback, tlsOver } from '../../../testing/lab/clients.ts';
import { expectClosedOnce, expectOrdered } from '../../../testing/lab/events.ts';
import { ProxyServer } from '../src/proxy-server.ts';
import { createRuntime } from './runtime-fixture.ts';

export interface ProxyLabOptions {
  readonly config?: Partial<MitmConfigInput>;
  readonly handler?: InterceptHandler;
}

export interface ProxyLab extends AsyncDisposable {
  readonly server: ProxyServer;
  readonly engine: Engine;
  readonly recorder: EventRecorder;
  readonly port: number;
  /** The proxy's authority as clients trust it. */
  readonly caPem: string;
  /** All events, once no connection and no flow is open any more; after checking what holds for every sequence. */
  settled(): Promise<readonly MitmEvent[]>;
}

const pollMs = 2;
const settleMs = 6_000;

/** Starts a proxy on a free loopback port that intercepts everything unless the configuration says otherwise. */
export async function startProxy(options: ProxyLabOptions = {}): Promise<ProxyLab> {
  const { engine, recorder, runtime, ca } = await createRuntime(options);
  const server = new ProxyServer({ engine, certificates: runtime.certificates });
  const { port } = await server.listen();
  const settled = async (): Promise<readonly MitmEvent[]> => {
    await untilQuiet(engine);
    const events = recorder.events();
    expectInvariants(engine, events);
    return events;
  };
  return {
    server,
    engine,
    recorder,
    port,
    caPem: ca.certificatePem,
    settled,
    async [Symbol.asyncDispose]() {
      await server.close(settleMs).catch((error: unknown) => {
        // A test that forced the end has looked at this error already.
        if (!(error instanceof Error && error.message.includes('have been cut'))) throw error;
      });
      await settled();
    },
  };
}

/** Waits until every connection has been served to its end. */
export async function untilQuiet(engine: Engine): Promise<void> {
  const end = performance.now() + settleMs;
  const isBusy = (): boolean => {
    const { activeConnections, activeFlows, currentInFlightBytes } = engine.snapshot();
    return activeConnections !== 0 || activeFlows !== 0 || currentInFlightBytes !== 0;
  };
  while (isBusy() && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, pollMs));
}

/** What holds for all traffic when it is over. */
export function expectInvariants(engine: Engine, events: readonly MitmEvent[]): void {
  const { activeConnections, activeFlows, currentInFlightBytes, invalidTransitionCount } = engine.snapshot();
  expect({ activeConnections, activeFlows, currentInFlightBytes, invalidTransitionCount }).toEqual({
    activeConnections: 0,
    activeFlows: 0,
    currentInFlightBytes: 0,
    invalidTransitionCount: 0,
  });
  if (events.length === 0) return;
  expectOrdered(events);
  expectClosedOnce(events);
}

/** The close reasons in the order of closing. */
export function reasonsOf(events: readonly MitmEvent[]): string[] {
  return events.flatMap((event) => (event.kind === 'stream_closed' ? [event.reasonCode] : []));
}

/** The close details in the order of closing; an absent one is an empty text. */
export function detailsOf(events: readonly MitmEvent[]): string[] {
  return events.flatMap((event) => (event.kind === 'stream_closed' ? [event.reasonDetail ?? ''] : []));
}

/** One client connection: what it sends and what came back. Disposing of it destroys it. */
export interface Client extends AsyncDisposable {
  readonly stream: Duplex;
  readonly log: ByteLog;
  send(bytes: string | Uint8Array): void;
  /** What was received since the last call, as text, once it holds `until`. */
  receive(until: Until): Promise<string>;
  /** All that was received since the last call, once the proxy has ended its side. */
  rest(): Promise<string>;
}

/** Wraps an open stream as a client. */
export function clientOver(stream: Duplex): Client {
  const log = new ByteLog(stream);
  let seen = 0;
  const take = (): string => {
    const text = log.received.toString('latin1', seen);
    seen = log.received.length;
    return text;
  };
  return {
    stream,
    log,
    send: (bytes) => {
      stream.write(bytes, 'latin1');
    },
    async receive(until) {
      const from = seen;
      const isThere = (received: Buffer): boolean => {
        const news = received.subarray(from);
        return typeof until === 'function' ? until(news) : news.includes(Buffer.from(until), 0);
      };
      await log.until(isThere);
      return take();
    },
    async rest() {
      await log.ended();
      return take();
    },
    async [Symbol.asyncDispose]() {
      await destroyed(stream);
    },
  };
}

/** Resets a client's TCP connection. */
export function reset(client: Client): void {
  if (client.stream instanceof Socket) client.stream.resetAndDestroy();
}

/** A client that has just connected to the proxy. */
export async function openClient(port: number): Promise<Client> {
  return clientOver(await dialLoopback(port));
}

export interface TlsClientOptions {
  readonly servername?: string;
  readonly alpn?: readonly string[];
}

/** A client inside intercepted TLS: CONNECT answered by 200, and the handshake with the proxy's leaf done. */
export async function openTlsClient(
  proxy: ProxyLab,
  authority: string,
  options: TlsClientOptions = {},
): Promise<Client> {
  const tunnel = await connectTunnel(proxy.port, authority);
  expect(tunnel.statusLine).toBe('HTTP/1.1 200 Connection Established');
  const { servername = authority.slice(0, authority.lastIndexOf(':')), alpn } = options;
  return clientOver(await tlsOver(tunnel.socket, { servername, ca: proxy.caPem, ...(alpn && { alpn }) }));
}

/** A promise, and what settles it. */
export interface Gate<T = void> {
  readonly opened: Promise<T>;
  open(value: T): void;
}

/** A gate that a handler or an origin waits at until the test opens it. */
export function makeGate<T = void>(): Gate<T> {
  const opener: { open: ((value: T) => void) | undefined } = { open: undefined };
  const opened = new Promise<T>((resolve) => {
    opener.open = resolve;
  });
  return { opened, open: (value) => opener.open?.(value) };
}
