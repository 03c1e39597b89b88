// Both ends of an HTTP/2 connection frame by frame: a client inside a tunnel of the proxy, and an origin whose script says each
// frame itself. They settle the connection, keep the other side supplied with windows, and leave the rest to the test.
import type { Duplex } from 'node:stream';

import type { LabAuthority } from './certificates.ts';
import { connectTunnel, destroyed, dialLoopback, tlsOver } from './clients.ts';
import { defaultDeadlineMs, within } from './deadline.ts';
import { Gate } from './gate.ts';
import {
  ack,
  decodeFields,
  endHeaders,
  endStream,
  type Fields,
  type Frame,
  FrameCutter,
  frameTypes,
  headersFrame,
  frame,
  pingFrame,
  preface,
  settingsFrame,
  windowUpdateFrame,
} from './h2-frames.ts';
import { type RawOrigin, startRawOrigin } from './raw-origins.ts';

export interface RawPeerOptions {
  readonly settings?: Parameters<typeof settingsFrame>[0];
  /** Answers no PING and gives no window for what comes. */
  readonly isSilent?: boolean;
}

/** What came on one stream. */
export interface SeenStream {
  /** The header lists, in order: interim ones, the final one, trailers. */
  readonly heads: readonly (readonly string[])[];
  readonly body: Buffer;
  readonly isEnded: boolean;
  readonly resetCode: number | undefined;
}

/** One end of a connection, speaking frames. */
export class RawPeer implements AsyncDisposable {
  readonly socket: Duplex;
  /** All frames that came, in order. */
  readonly frames: Frame[] = [];
  readonly #waiters = new Set<() => void>();
  readonly #isSilent: boolean;
  #hasEnded = false;
  #nextId = 1;

  constructor(socket: Duplex, isClient: boolean, options: RawPeerOptions) {
    this.socket = socket;
    this.#isSilent = options.isSilent ?? false;
    const cutter = new FrameCutter();
    let isBegun = isClient;
    let beginning: Buffer = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      let bytes = chunk;
      if (!isBegun) {
        beginning = Buffer.concat([beginning, chunk]);
        if (beginning.length < preface.length) return;
        isBegun = true;
        bytes = beginning.subarray(preface.length);
      }
      for (const seen of cutter.push(bytes)) this.#take(seen);
      this.#look();
    });
    const end = (): void => {
      this.#hasEnded = true;
      this.#look();
    };
    socket.on('end', end);
    socket.on('close', end);
    socket.on('error', () => {}); // told by the close that follows
    socket.write(
      Buffer.concat([
        isClient ? preface : Buffer.alloc(0),
        settingsFrame({ headerTableSize: 0, ...options.settings }),
        windowUpdateFrame(0, 2 ** 30),
      ]),
    );
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Writes frames in one go. */
  send(...frames: readonly Uint8Array[]): void {
    this.socket.write(Buffer.concat(frames));
  }

  /** Opens a stream with these fields, which end it unless said otherwise; answers its id. */
  ask(fields: Fields, flags: number = endHeaders | endStream): number {
    const id = this.#nextId;
    this.#nextId += 2;
    this.send(headersFrame(id, fields, flags));
    return id;
  }

  /** What has come on a stream so far. */
  stream(id: number): SeenStream {
    const ofStream = this.frames.filter(({ streamId }) => streamId === id);
    const heads: string[][] = [];
    let block: Buffer[] = [];
    for (const { type, flags, payload } of ofStream) {
      if (type !== frameTypes.headers && type !== frameTypes.continuation) continue;
      block.push(payload);
      if ((flags & endHeaders) === 0) continue;
      heads.push(decodeFields(Buffer.concat(block)));
      block = [];
    }
    const reset = ofStream.find(({ type }) => type === frameTypes.rstStream);
    return {
      heads,
      body: Buffer.concat(
        ofStream.filter(({ type }) => type === frameTypes.data).map(({ payload }) => payload),
      ),
      isEnded: ofStream.some(
        ({ type, flags }) =>
          (type === frameTypes.data || type === frameTypes.headers) && (flags & endStream) !== 0,
      ),
      resetCode: reset?.payload.readUInt32BE(0),
    };
  }

  /** A stream once it has ended or was reset, or the connection has gone. */
  async over(id: number, ms: number = defaultDeadlineMs): Promise<SeenStream> {
    const isOver = (): boolean => {
      const { isEnded, resetCode } = this.stream(id);
      return isEnded || resetCode !== undefined || this.#hasEnded;
    };
    await this.until(isOver, `the end of stream ${id}`, ms);
    return this.stream(id);
  }

  /** The first frame that fits, come or to come; undefined when the connection ended without. */
  async frameOf(fits: (seen: Frame) => boolean, ms: number = defaultDeadlineMs): Promise<Frame | undefined> {
    await this.until(() => this.frames.some(fits) || this.#hasEnded, 'the awaited frame', ms);
    return this.frames.find(fits);
  }

  /** The code of the GOAWAY that came last, once one has come; undefined when the connection ended without. */
  async goawayCode(ms: number = defaultDeadlineMs): Promise<number | undefined> {
    const last = await this.frameOf(({ type }) => type === frameTypes.goaway, ms);
    return last?.payload.readUInt32BE(4);
  }

  /** Resolves when the other side has ended the connection. */
  async ended(ms: number = defaultDeadlineMs): Promise<void> {
    await this.until(() => this.#hasEnded, 'the end of the connection', ms);
  }

  async until(isDone: () => boolean, what: string, ms: number = defaultDeadlineMs): Promise<void> {
    if (isDone()) return;
    const done = new Gate();
    const look = (): void => {
      if (isDone()) done.open();
    };
    this.#waiters.add(look);
    try {
      await within(done.opened, ms, () => `${what} (came: ${this.#summary()})`);
    } finally {
      this.#waiters.delete(look);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await destroyed(this.socket);
  }

  #take(seen: Frame): void {
    this.frames.push(seen);
    const { type, flags, streamId, payload } = seen;
    if (type === frameTypes.settings && (flags & ack) === 0)
      this.socket.write(frame(frameTypes.settings, ack, 0, Buffer.alloc(0)));
    if (this.#isSilent) return;
    if (type === frameTypes.ping && (flags & ack) === 0) this.socket.write(pingFrame(ack, payload));
    if (type === frameTypes.data && payload.length > 0 && (flags & endStream) === 0)
      this.socket.write(windowUpdateFrame(streamId, payload.length));
  }

  #look(): void {
    for (const look of this.#waiters) look();
  }

  #summary(): string {
    const named = this.frames.map(({ type, streamId, payload }) => `${type}@${streamId}(${payload.length})`);
    return named.slice(-30).join(' ');
  }
}

/** A client inside a tunnel of the proxy, over TLS with ALPN `h2`. */
export async function dialRawPeer(
  options: RawPeerOptions & { readonly proxyPort: number; readonly authority: string; readonly ca: string },
): Promise<RawPeer> {
  const { socket } = await connectTunnel(options.proxyPort, options.authority);
  const secure = await tlsOver(socket, { servername: 'localhost', ca: options.ca, alpn: ['h2'] });
  return new RawPeer(secure, true, options);
}

/** A client that begins in HTTP/2 on the proxy's own port. */
export async function dialRawPeerPlain(port: number, options: RawPeerOptions = {}): Promise<RawPeer> {
  return new RawPeer(await dialLoopback(port), true, options);
}

export interface RawH2OriginOptions extends RawPeerOptions {
  readonly authority: LabAuthority;
  /** Called once per connection, when it stands. */
  readonly onPeer?: (peer: RawPeer, index: number) => void | Promise<void>;
}

export interface RawH2Origin extends RawOrigin {
  readonly peers: readonly RawPeer[];
  /** The nth connection (from 0), once it stands. */
  peer(index: number): Promise<RawPeer>;
}

/** An origin that speaks HTTP/2 frame by frame. */
export async function startRawH2Origin(options: RawH2OriginOptions): Promise<RawH2Origin> {
  const peers: RawPeer[] = [];
  const waiters = new Set<() => void>();
  const origin = await startRawOrigin({
    tls: { authority: options.authority, alpn: ['h2'] },
    onConnection: async (socket, index, log) => {
      const early = log.release();
      const peer = new RawPeer(socket, false, options);
      if (early.length > 0) socket.unshift(early);
      socket.resume();
      peers.push(peer);
      for (const look of waiters) look();
      await options.onPeer?.(peer, index);
    },
  });
  return Object.assign(origin, {
    peers,
    peer: async (index: number): Promise<RawPeer> => {
      const come = new Gate<RawPeer>();
      const look = (): void => {
        const peer = peers[index];
        if (peer !== undefined) come.open(peer);
      };
      waiters.add(look);
      look();
      try {
        return await within(come.opened, defaultDeadlineMs, `connection ${index}`);
      } finally {
        waiters.delete(look);
      }
    },
  });
}

/** The fields of a GET. */
export function getFields(authority: string, path = '/', ...more: readonly string[]): string[] {
  return [':method', 'GET', ':scheme', 'https', ':authority', authority, ':path', path, ...more];
}

/** The fields of a POST. */
export function postFields(authority: string, path = '/', ...more: readonly string[]): string[] {
  return [':method', 'POST', ':scheme', 'https', ':authority', authority, ':path', path, ...more];
}
