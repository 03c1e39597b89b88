// All places where clients arrive, opened together or not at all. Each connection comes with the way in that its listener offers.
import type { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

import { errorCode, type ListenerConfig, type MitmConfig, MitmError, type SocketFamily } from 'mitm-core';
import type { CertStore } from 'mitm-tls';

import { AddressRanges } from './arrival/address-ranges.ts';
import { plainAddress } from './arrival/address-text.ts';
import { loadNativeSockets, type NativeSockets } from './arrival/native-sockets.ts';
import { ProxyCertificate } from './arrival/proxy-certificate.ts';
import { plainWayIn, type WayIn } from './arrival/way-in.ts';
import { requireInherited } from './inherited-socket.ts';
import { Listener, type ListenerAddress, type ListenPlace } from './listener.ts';
import { isLoopback } from './process/address.ts';

export interface ListenersOptions {
  readonly config: MitmConfig;
  readonly certificates: CertStore;
  readonly onSocket: (socket: Socket, family: SocketFamily, wayIn: WayIn) => void;
  readonly onError: (error: Error) => void;
}

/** How often a place that is taken is tried. */
const ATTEMPTS = 8;

/** A listener as it is to be opened. */
interface PlannedListener {
  readonly place: ListenPlace;
  readonly config: Partial<ListenerConfig>;
}

/** A listener that is open. */
interface OpenListener {
  readonly listener: Listener;
  readonly wayIn: WayIn;
  /** Of the proxy itself, where it is spoken to over TLS. */
  readonly certificate: ProxyCertificate | undefined;
}

export class Listeners {
  readonly #open: readonly OpenListener[];

  private constructor(open: readonly OpenListener[]) {
    this.#open = open;
  }

  /**
   * Opens all listeners of a configuration, or none.
   *
   * @throws MitmError `ERR_MITM_LISTEN_FAILED` saying which one can't be opened and why
   */
  static async open(options: ListenersOptions): Promise<Listeners> {
    const opened: OpenListener[] = [];
    try {
      for (const planned of plannedListeners(options.config)) opened.push(await openOne(planned, options));
      return new Listeners(opened);
    } catch (error) {
      for (const { listener } of opened) await listener.close();
      throw error;
    }
  }

  /** Where they are, in the order of the configuration. */
  get addresses(): readonly ListenerAddress[] {
    return this.#open.map(({ listener }) => listener.address);
  }

  /** Those that other machines can reach, and where nobody has to say who it is. */
  openToAll({ proxyAuthentication }: MitmConfig): readonly ListenerAddress[] {
    const hasUsers = proxyAuthentication.users.length > 0;
    return this.#open.flatMap(({ listener: { address }, wayIn }) => {
      const isOpen = wayIn.kind !== 'transparent' && !(hasUsers && wayIn.requiresAuthentication);
      return isOpen && address.kind === 'tcp' && !isLoopback(address.host) ? [address] : [];
    });
  }

  /**
   * Reads the certificates of the proxy itself again, for they may have been renewed. Rejects with MitmError
   * `ERR_MITM_LISTEN_FAILED` when one can't be read; the old ones stay then.
   *
   * @returns puts them in place, for connections to come
   */
  async prepareReload(): Promise<() => void> {
    const renewals = await Promise.all(this.#open.flatMap(({ certificate }) => certificate?.prepare() ?? []));
    return () => {
      for (const renew of renewals) renew();
    };
  }

  /** Stops listening; connections that were accepted go on. */
  async close(): Promise<void> {
    for (const { listener } of this.#open) await listener.close();
  }
}

/** What is to be opened: `bind`, `unixSocketPath` where the system has such sockets, and the further listeners. */
function plannedListeners({ bind, unixSocketPath, listeners }: MitmConfig): readonly PlannedListener[] {
  const planned: PlannedListener[] = [];
  if (bind !== 'none') planned.push({ place: { kind: 'tcp', ...bind }, config: {} });
  if (unixSocketPath !== undefined)
    planned.push({ place: { kind: 'unix', path: unixSocketPath }, config: {} });
  for (const config of listeners) planned.push({ place: placeOf(config), config });
  return planned;
}

function placeOf({ bind, unixSocketPath, fd }: ListenerConfig): ListenPlace {
  if (bind !== undefined) return { kind: 'tcp', ...bind };
  return unixSocketPath === undefined ? { kind: 'fd', fd: fd ?? 0 } : { kind: 'unix', path: unixSocketPath };
}

async function openOne({ place, config }: PlannedListener, options: ListenersOptions): Promise<OpenListener> {
  if (place.kind === 'unix' && process.platform === 'win32')
    throw new MitmError(
      'ERR_MITM_LISTEN_FAILED',
      `cannot listen on ${place.path}: Windows has no Unix sockets for Node: listen on 127.0.0.1`,
    );
  if (place.kind === 'fd') requireInherited(place.fd, process.env, process.pid);
  const native = config.kind === 'transparent' ? await loadNativeSockets() : undefined;
  const { tls } = config;
  const certificate = tls === undefined ? undefined : await ProxyCertificate.open(tls, options.certificates);
  const wayIn = wayInOf(config, certificate, native);
  const listener = await patiently(options.config.acceptRetryBackoffMs, () =>
    Listener.open({
      place,
      onSocket: (socket, address) => options.onSocket(socket, familyOf(socket, address), wayIn),
      onError: options.onError,
    }),
  );
  if (native !== undefined && config.redirection === 'tproxy') {
    try {
      native.allowTransparent(listener.descriptor);
    } catch (error) {
      await listener.close();
      throw error;
    }
  }
  return { listener, wayIn, certificate };
}

/** A place that is taken is often about to be free: a proxy that is started again meets its own end. */
async function patiently(pauseMs: number, open: () => Promise<Listener>): Promise<Listener> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await open();
    } catch (error) {
      const cause = error instanceof MitmError ? error.cause : error;
      if (attempt === ATTEMPTS || errorCode(cause) !== 'EADDRINUSE') throw error;
    }
    await pause(pauseMs);
  }
}

function wayInOf(
  config: Partial<ListenerConfig>,
  certificate: ProxyCertificate | undefined,
  native: NativeSockets | undefined,
): WayIn {
  const { kind = plainWayIn.kind, requiresAuthentication = true, proxyProtocol } = config;
  return Object.freeze({
    kind,
    requiresAuthentication,
    forwarders: proxyProtocol === undefined ? undefined : new AddressRanges(proxyProtocol.trustedAddresses),
    tls: certificate === undefined ? undefined : () => certificate.context(),
    targetPort: config.targetPort ?? plainWayIn.targetPort,
    originalTarget: originalTargetOf(config, native),
  });
}

function originalTargetOf(
  { redirection }: Partial<ListenerConfig>,
  native: NativeSockets | undefined,
): WayIn['originalTarget'] {
  if (native === undefined) return undefined;
  return redirection === 'tproxy'
    ? (socket) => native.localAddress(socket)
    : (socket) => native.originalTarget(socket);
}

function familyOf(socket: Socket, listener: ListenerAddress): SocketFamily {
  if (listener.kind === 'unix') return { kind: 'unix_domain', path: listener.path };
  const address = plainAddress(socket.remoteAddress ?? '0.0.0.0');
  return {
    kind: address.includes(':') ? 'tcp_v6' : 'tcp_v4',
    local: { address: plainAddress(socket.localAddress ?? '0.0.0.0'), port: socket.localPort ?? 0 },
    remote: { address, port: socket.remotePort ?? 0 },
  };
}
