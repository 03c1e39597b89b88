// One accepted client connection: its id, where it comes from, and what is learnt about it on the way (process, TLS).
// Facts are added once, when they arrive; the view that handlers see is rebuilt only then.
import { asConnectionId, type ConnectionId } from 'mitm-observe';

/** An address and port of one end of a socket. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/**
 * How the client reached us. `remote` is the client's end of its connection, `local` the end that it dialled: the proxy's own
 * unless a firewall redirected the connection, or a trusted sender passed it on.
 */
export type SocketFamily =
  | { readonly kind: 'tcp_v4' | 'tcp_v6'; readonly local: Endpoint; readonly remote: Endpoint }
  | { readonly kind: 'unix_domain'; readonly path?: string };

/** The program behind a client connection, as far as the operating system tells. */
export interface ProcessInfo {
  readonly pid: number;
  readonly bundleId?: string;
  readonly exeName?: string;
  readonly exePath?: string;
  readonly parentPid?: number;
  readonly parentProcessName?: string;
}

/** What the client's TLS handshake with us showed; absent where TLS was not intercepted. */
export interface TlsInfo {
  readonly sni?: string;
  /** The protocol both ends agreed on, `h2` or `http/1.1`; absent when the client named none. */
  readonly negotiatedProto?: string;
  /** As Node spells it: `TLSv1.2` or `TLSv1.3`. */
  readonly version?: string;
  readonly cipher?: string;
  readonly ja3?: string;
  readonly ja4?: string;
}

/** The facts of one client connection as handlers see them. */
export interface ConnectionMeta {
  readonly connectionId: ConnectionId;
  readonly socketFamily: SocketFamily;
  /** Who passed the connection on, where a PROXY protocol header of a trusted sender named the client. */
  readonly forwarder?: Endpoint;
  readonly processInfo?: ProcessInfo;
  readonly tlsInfo?: TlsInfo;
}

/** One accepted client connection. */
export class Connection {
  readonly socketFamily: SocketFamily;
  readonly forwarder: Endpoint | undefined;
  /** The client as events name it: `ip:port`, `[ipv6]:port` or `unix:path`. */
  readonly clientAddr: string;
  /** Settled when `onConnectionOpen` has run; undefined when nothing has to wait for it, or no longer. */
  opened: Promise<void> | undefined;
  /** Settled when `processInfo` is known or can't be; undefined while nobody looks for it. Must not reject. */
  attributed: Promise<void> | undefined;
  #processInfo: ProcessInfo | undefined;
  #tlsInfo: TlsInfo | undefined;
  #meta: ConnectionMeta | undefined;
  /** Made when it is first asked for: of most connections nobody wants to know it. */
  #id: ConnectionId | undefined;
  #unsettled: Set<Promise<void>> | undefined;

  constructor(socketFamily: SocketFamily, id?: string, forwarder?: Endpoint) {
    this.#id = id === undefined ? undefined : asConnectionId(id);
    this.socketFamily = socketFamily;
    this.forwarder = forwarder;
    this.clientAddr = clientAddress(socketFamily);
    this.opened = undefined;
    this.attributed = undefined;
    this.#processInfo = undefined;
    this.#tlsInfo = undefined;
    this.#meta = undefined;
    this.#unsettled = undefined;
  }

  /** A UUID, unless given; the same whenever it is read. */
  get id(): ConnectionId {
    this.#id ??= asConnectionId(crypto.randomUUID());
    return this.#id;
  }

  /** Remembers hook calls that go on after their exchange; `settled` waits for them. The promise must not reject. */
  track(call: Promise<void>): void {
    const unsettled = (this.#unsettled ??= new Set());
    unsettled.add(call);
    void call.finally(() => unsettled.delete(call));
  }

  /** Resolves when `onConnectionOpen` and every tracked hook call of this connection are over. */
  async settled(): Promise<void> {
    await this.opened;
    // The end of one may have begun another.
    while (this.#unsettled !== undefined && this.#unsettled.size > 0) await Promise.all(this.#unsettled);
  }

  get processInfo(): ProcessInfo | undefined {
    return this.#processInfo;
  }

  set processInfo(info: ProcessInfo | undefined) {
    this.#processInfo = info;
    this.#meta = undefined;
  }

  get tlsInfo(): TlsInfo | undefined {
    return this.#tlsInfo;
  }

  set tlsInfo(info: TlsInfo | undefined) {
    this.#tlsInfo = info;
    this.#meta = undefined;
  }

  /** A frozen view of what is known now; the same object until a fact is added. */
  get meta(): ConnectionMeta {
    this.#meta ??= Object.freeze({
      connectionId: this.id,
      socketFamily: this.socketFamily,
      ...(this.forwarder === undefined ? {} : { forwarder: this.forwarder }),
      ...(this.#processInfo === undefined ? {} : { processInfo: this.#processInfo }),
      ...(this.#tlsInfo === undefined ? {} : { tlsInfo: this.#tlsInfo }),
    });
    return this.#meta;
  }
}

function clientAddress(family: SocketFamily): string {
  if (family.kind === 'unix_domain') return `unix:${family.path ?? ''}`;
  const { address, port } = family.remote;
  return family.kind === 'tcp_v6' ? `[${address}]:${port}` : `${address}:${port}`;
}
