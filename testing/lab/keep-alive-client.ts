// A client that keeps one intercepted connection for many requests, cheap enough for tens of thousands of them: it reads answers
// with a Content-Length, and notices when one breaks off.
import type { TLSSocket } from 'node:tls';

import { connectTunnel, destroyed, tlsOver } from './clients.ts';
import { within } from './deadline.ts';

/** Many clients share the processor, so that one of them may wait long for its turn. */
const deadlineMs = 20_000;

export interface KeepAliveTarget {
  readonly proxyPort: number;
  /** `host:port` of the origin. */
  readonly authority: string;
  readonly ca: string;
}

/** How an exchange ended; whoever breaks off has to dial again. */
export const exchangeOutcomes = ['complete', 'broken'] as const;
export type ExchangeOutcome = (typeof exchangeOutcomes)[number];

/** Sends one request after the other; never two at once. */
export class KeepAliveClient {
  readonly #target: KeepAliveTarget;
  readonly #socket: TLSSocket;
  #look: () => void = () => {};
  #received: Buffer = Buffer.alloc(0);
  #hasEnded = false;

  private constructor(target: KeepAliveTarget, socket: TLSSocket) {
    this.#target = target;
    this.#socket = socket;
    const end = (): void => {
      this.#hasEnded = true;
      this.#look();
    };
    socket.on('data', (chunk: Buffer) => {
      this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
      this.#look();
    });
    socket.on('end', end);
    socket.on('close', end);
    socket.on('error', () => {}); // told by the close that follows
  }

  static async dial(target: KeepAliveTarget): Promise<KeepAliveClient> {
    const tunnel = await connectTunnel(target.proxyPort, target.authority, { deadlineMs });
    const { ca } = target;
    return new KeepAliveClient(
      target,
      await tlsOver(tunnel.socket, { servername: 'localhost', ca, deadlineMs }),
    );
  }

  /** Whether the connection takes another request. */
  get isOpen(): boolean {
    return !this.#hasEnded;
  }

  /** A GET, read to the end of its answer. */
  async get(path: string): Promise<ExchangeOutcome> {
    this.#send(path);
    await this.#until(() => this.#hasEnded || this.#answerLength() <= this.#received.length);
    const length = this.#answerLength();
    if (this.#received.length < length) return 'broken';
    this.#received = this.#received.subarray(length);
    return 'complete';
  }

  /** A GET that is given up as soon as something of the answer is there. */
  async abandon(path: string): Promise<void> {
    this.#send(path);
    await this.#until(() => this.#hasEnded || this.#received.length > 0);
    await this.close();
  }

  /** Cuts the connection. */
  close(): Promise<void> {
    return destroyed(this.#socket);
  }

  #send(path: string): void {
    this.#socket.write(`GET ${path} HTTP/1.1\r\nHost: ${this.#target.authority}\r\n\r\n`);
  }

  /** Head and body; infinite while the head is not complete. */
  #answerLength(): number {
    const headEnd = this.#received.indexOf('\r\n\r\n');
    if (headEnd === -1) return Number.POSITIVE_INFINITY;
    const head = this.#received.toString('latin1', 0, headEnd);
    return headEnd + 4 + Number(/\r\ncontent-length: (\d+)/iu.exec(head)?.[1] ?? 0);
  }

  async #until(isDone: () => boolean): Promise<void> {
    if (isDone()) return;
    const done = new Promise<void>((resolve) => {
      this.#look = () => {
        if (isDone()) resolve();
      };
    });
    await within(done, deadlineMs, 'the next bytes of an answer');
    this.#look = () => {};
  }
}
