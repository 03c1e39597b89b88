// Pairs of connected streams, and a reader of wires that records everything it is told.
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { type Duplex, duplexPair } from 'node:stream';
import { connect as connectTls, type ConnectionOptions, createSecureContext, TLSSocket } from 'node:tls';

import { createLabAuthority } from '../../../testing/lab/certificates.ts';
import { destroyed, dialLoopback } from '../../../testing/lab/clients.ts';
import { defaultDeadlineMs, within } from '../../../testing/lab/deadline.ts';
import type { Wire, WireReader } from '../src/wire.ts';

/** Both ends of one connection; disposing of it destroys them. */
export interface StreamPair<T> extends AsyncDisposable {
  readonly near: T;
  readonly far: T;
}

/** A TCP connection on loopback, half-open on both sides. `near` is the accepted end, which nobody reads yet. */
export async function tcpPair(): Promise<StreamPair<Socket>> {
  const server: Server = createServer({ allowHalfOpen: true, noDelay: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const accepted = new Promise<Socket>((resolve) => {
    server.once('connection', resolve);
  });
  const far = await dialLoopback(address.port);
  far.allowHalfOpen = true;
  const near = await accepted;
  server.close();
  near.on('error', () => {});
  far.on('error', () => {});
  return {
    near,
    far,
    async [Symbol.asyncDispose]() {
      await Promise.all([destroyed(near), destroyed(far)]);
    },
  };
}

/** TLS over {@link tcpPair}: `near` is the server. */
export async function tlsPair(): Promise<StreamPair<TLSSocket> & { readonly tcp: StreamPair<Socket> }> {
  await using authority = await createLabAuthority();
  const { certPem, keyPem } = await authority.issue(['localhost']);
  const tcp = await tcpPair();
  const near = new TLSSocket(tcp.near, {
    isServer: true,
    secureContext: createSecureContext({ cert: certPem, key: keyPem }),
  });
  const far = connectTls({ socket: tcp.far, servername: 'localhost', ca: authority.caPem });
  near.on('error', () => {});
  far.on('error', () => {});
  await within(
    Promise.all([once(near, 'secure'), once(far, 'secureConnect')]),
    defaultDeadlineMs,
    'the TLS handshake',
  );
  return {
    near,
    far,
    tcp,
    async [Symbol.asyncDispose]() {
      await Promise.all([destroyed(near), destroyed(far)]);
      await tcp[Symbol.asyncDispose]();
    },
  };
}

/** The bytes of a real ClientHello. */
export async function clientHello(options: ConnectionOptions = {}): Promise<Buffer> {
  const [near, far] = duplexPair();
  const client = connectTls({ socket: near, servername: 'example.org', ...options });
  client.on('error', () => {});
  const bytes = await new Promise<Buffer>((resolve) => {
    far.once('data', resolve);
  });
  client.destroy();
  return Buffer.from(bytes);
}

/** Records what a wire tells its reader, as a list of words and as bytes, and lets a test wait for it. */
export class RecordingReader implements WireReader {
  readonly calls: string[] = [];
  readonly pieces: Buffer[] = [];
  error: Error | undefined = undefined;
  quietMs: number[] = [];
  /** What else to do when bytes arrive. */
  whenData: ((chunk: Buffer) => void) | undefined = undefined;
  readonly #waiters = new Set<() => void>();

  get bytes(): Buffer {
    return Buffer.concat(this.pieces);
  }

  get text(): string {
    return this.bytes.toString('latin1');
  }

  onData(chunk: Buffer): void {
    this.pieces.push(Buffer.from(chunk));
    this.#note('data');
    this.whenData?.(chunk);
  }

  onEnd(): void {
    this.#note('end');
  }

  onClose(error: Error | undefined): void {
    this.error = error;
    this.#note('close');
  }

  onDrain(): void {
    this.#note('drain');
  }

  onQuiet(quietMs: number): void {
    this.quietMs.push(quietMs);
    this.#note('quiet');
  }

  /** Resolves when the condition holds; asked again at each call. */
  async until(isDone: () => boolean, what = 'what the reader waits for'): Promise<void> {
    if (isDone()) return;
    let look: (() => void) | undefined;
    const done = new Promise<void>((resolve) => {
      look = () => {
        if (isDone()) resolve();
      };
      this.#waiters.add(look);
    });
    try {
      await within(done, defaultDeadlineMs, () => `${what}, after [${this.calls.slice(-20).join(', ')}]`);
    } finally {
      if (look !== undefined) this.#waiters.delete(look);
    }
  }

  /** Resolves when a call of this name has come. */
  async called(name: string): Promise<void> {
    await this.until(() => this.calls.includes(name), `the call of ${name}`);
  }

  #note(name: string): void {
    this.calls.push(name);
    for (const look of this.#waiters) look();
  }
}

/** Attaches a recording reader. */
export function record(wire: Wire): RecordingReader {
  const reader = new RecordingReader();
  wire.attach(reader);
  return reader;
}

/** Bytes that no shift or repetition leaves equal. */
export function patterned(length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let state = 1;
  for (let index = 0; index < length; index += 1) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    bytes[index] = state >>> 16;
  }
  return bytes;
}

/** Resolves when a stream is closed, with or without an error. */
export async function closed(stream: Duplex): Promise<void> {
  if (stream.closed) return;
  const gone = new Promise<void>((resolve) => {
    stream.once('close', resolve);
  });
  await within(gone, defaultDeadlineMs, "the stream's close");
}

/** Everything that arrives until the peer ends; unlike a log, it costs the same per byte however much it is. */
export async function readToEnd(stream: Duplex): Promise<Buffer> {
  const pieces: Buffer[] = [];
  stream.on('data', (piece: Buffer) => pieces.push(piece));
  const ended = new Promise<void>((resolve) => {
    stream.once('end', resolve);
    stream.once('close', resolve);
  });
  stream.resume();
  await within(ended, defaultDeadlineMs, "the stream's end");
  return Buffer.concat(pieces);
}

/** A turn of the event loop, after which whatever was due has been told. */
export async function nextTurn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}
