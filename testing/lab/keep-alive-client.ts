// A client that keeps one connection, intercepted or plain, for many requests, cheap enough for tens of thousands of them: it reads
// answers with a Content-Length, and notices when one breaks off.
import type { Duplex } from 'node:stream';

import { connectTunnel, destroyed, dialLoopback, tlsOver } from './clients.ts';
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
const exchangeOutcomes = ['complete', 'broken'] as const;
export type ExchangeOutcome = (typeof exchangeOutcomes)[number];

/** A whole answer. */
export interface KeptAnswer {
  /** With its status line, without the blank line. */
  readonly head: string;
  readonly body: string;
}

/** Sends one request after the other; never two at once. */
export class KeepAliveClient {
  readonly #authority: string;
  /** In front of each path: what makes it an absolute target. */
  readonly #prefix: string;
  readonly #socket: Duplex;
  #look: () => void = () => {};
  #received: Buffer = Buffer.alloc(0);
  #hasEnded = false;

  private constructor(authority: string, prefix: string, socket: Duplex) {
    this.#authority = authority;
    this.#prefix = prefix;
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
    const socket = await tlsOver(tunnel.socket, { servername: 'localhost', ca, deadlineMs });
    return new KeepAliveClient(target.authority, '', socket);
  }

  /** For plain proxy requests. */
  static async dialPlain({ proxyPort, authority }: Omit<KeepAliveTarget, 'ca'>): Promise<KeepAliveClient> {
    return new KeepAliveClient(authority, `http://${authority}`, await dialLoopback(proxyPort));
  }

  /** Whether the connection takes another request. */
  get isOpen(): boolean {
    return !this.#hasEnded;
  }

  /** A GET, read to the end of its answer. */
  async get(path: string): Promise<ExchangeOutcome> {
    return (await this.ask(path)) === undefined ? 'broken' : 'complete';
  }

  /** The answer to a GET; undefined when it breaks off. */
  async ask(path: string): Promise<KeptAnswer | undefined> {
    this.#send(path);
    await this.#until(() => this.#hasEnded || this.#answerLength() <= this.#received.length);
    const length = this.#answerLength();
    if (this.#received.length < length) return undefined;
    const answer = this.#received.toString('latin1', 0, length);
    this.#received = this.#received.subarray(length);
    const headEnd = answer.indexOf('\r\n\r\n');
    return { head: answer.slice(0, headEnd), body: answer.slice(headEnd + 4) };
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
    this.#socket.write(`GET ${this.#prefix}${path} HTTP/1.1\r\nHost: ${this.#authority}\r\n\r\n`);
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
