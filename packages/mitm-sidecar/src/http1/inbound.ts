// The client's HTTP/1 connection: one request after the other is read from it, and its answer written to it. Requests
// that arrive early (pipelining) wait in order.
import type { Failure, MitmConfig } from 'mitm-core';
import {
  BodyFramer,
  type BodyFraming,
  checkHost,
  findHeadEnd,
  type HeaderList,
  HttpError,
  isPersistent,
  parseRequestHead,
  type Reply,
  type RequestHead,
  requestFraming,
  skipEmptyLines,
  untilCloseBody,
  writeReply,
} from 'mitm-http';

import { Accumulator } from '../accumulator.ts';
import { linger } from '../linger.ts';
import type { Inbound, RequestReceiver, ResponseMessage, ResponseOptions } from '../relay/sides.ts';
import type { Wire, WireReader } from '../wire.ts';
import {
  badRequest,
  clientGone,
  lateHead,
  noRoomForHead,
  refuseBareLineFeed,
  silentBody,
} from './bad-request.ts';
import { MessageWriter } from './message-writer.ts';
import { interimText, responseText } from './response-text.ts';

/** Bytes of later requests that may wait while one is being answered. */
const PIPELINE_LIMIT_BYTES = 65_536;

type State = 'head' | 'ready' | 'body' | 'answering' | 'closed';

interface Waiting {
  readonly resolve: (head: RequestHead | undefined) => void;
  readonly reject: (failure: Failure) => void;
}

/** When the proxy stops, a client may already have sent what has not arrived yet. */
const GRACE_MS = 1_000;

const noBody: BodyFraming = Object.freeze({ kind: 'none' });

export class Http1Inbound implements Inbound, WireReader {
  readonly wire: Wire;
  readonly #config: MitmConfig;
  readonly #writer: MessageWriter;
  #state: State;
  #unread: Accumulator | undefined;
  #waiting: Waiting | undefined;
  #receiver: RequestReceiver | undefined;
  #head: RequestHead | undefined;
  #framing: BodyFraming;
  #framer: BodyFramer | undefined;
  #timer: NodeJS.Timeout | undefined;
  #graceTimer: NodeJS.Timeout | undefined;
  #failure: Failure | undefined;
  #wantsPause: boolean;
  #checkedHost: string | undefined;
  readonly #emit: (piece: Buffer) => void;

  constructor(wire: Wire, config: MitmConfig) {
    this.wire = wire;
    this.#config = config;
    this.#writer = new MessageWriter(wire);
    this.#state = 'head';
    this.#unread = undefined;
    this.#waiting = undefined;
    this.#receiver = undefined;
    this.#head = undefined;
    this.#framing = noBody;
    this.#framer = undefined;
    this.#timer = undefined;
    this.#graceTimer = undefined;
    this.#failure = undefined;
    this.#wantsPause = false;
    this.#checkedHost = undefined;
    this.#emit = (piece) => {
      if (this.#receiver?.requestData(piece) === false) this.#wantsPause = true;
    };
    wire.watchQuiet(Math.min(config.connectionPool.idleTimeoutMs, config.timeouts.bodyIdleMs));
    wire.attach(this);
  }

  get head(): RequestHead {
    if (this.#head === undefined) throw new Error('no request has been read');
    return this.#head;
  }

  get framing(): BodyFraming {
    return this.#framing;
  }

  get isPersistent(): boolean {
    return isPersistent(this.head);
  }

  get upgrade(): string {
    return this.head.upgrade;
  }

  get isTwoWay(): boolean {
    return false;
  }

  get passesResets(): boolean {
    return false;
  }

  /** An old client learns the end of a chunked answer from the end of the connection. */
  endsWith(framing: BodyFraming): boolean {
    return framing.kind === 'until-close' || (framing.kind === 'chunked' && this.head.minorVersion === 0);
  }

  get isRequestComplete(): boolean {
    return this.#state === 'answering';
  }

  /** True when no request is in progress, nor any byte of one. */
  get isIdle(): boolean {
    return this.#state === 'head' && this.#unread === undefined;
  }

  /**
   * Reads the next request head.
   *
   * @returns undefined when the client has ended the connection between two requests
   * @throws Failure for a head that can't be read; `reply` is the answer to give
   */
  nextRequest(): Promise<RequestHead | undefined> {
    this.#state = 'head';
    this.#receiver = undefined;
    this.#head = undefined;
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      if (this.#failure !== undefined) this.#stopWaiting()?.reject(this.#failure);
      else if (this.#unread !== undefined) this.#readHead(this.#unread.bytes);
      else if (this.wire.isEnded || this.wire.isClosed) this.#settle(undefined);
      // What waited may have been too much to read on, and yet not a whole head.
      if (this.#waiting !== undefined) this.wire.resume();
    });
  }

  receive(receiver: RequestReceiver): void {
    this.#receiver = receiver;
    if (this.#state !== 'ready') return;
    this.#state = 'body';
    const unread = this.#takeUnread();
    if (unread !== undefined) this.#readBody(unread);
    else if (this.wire.isEnded) this.onEnd();
    this.resume();
  }

  /** Hears of the client's leaving while its answer is made; for a request that has no body to receive. */
  watch(receiver: RequestReceiver): void {
    this.#receiver = receiver;
    if (this.#failure !== undefined) receiver.requestFailed(this.#failure);
  }

  pause(): void {
    this.#wantsPause = true;
    this.wire.pause();
  }

  resume(): void {
    this.#wantsPause = false;
    this.wire.resume();
  }

  sendContinue(): void {
    this.wire.writeText('HTTP/1.1 100 Continue\r\n\r\n');
  }

  sendInformational(head: ResponseMessage): void {
    // A client of HTTP/1.0 knows no interim answers (RFC 9110 §15.2).
    if (this.head.minorVersion === 1) this.wire.writeText(interimText(head));
  }

  sendHead(head: ResponseMessage, framing: BodyFraming, options: ResponseOptions): void {
    const isOld = this.head.minorVersion === 0;
    const text = responseText(head, framing, { ...options, isOld, method: this.head.method });
    this.#writer.begin(text, isOld && framing.kind === 'chunked' ? untilCloseBody : framing);
  }

  sendData(piece: Buffer): boolean {
    return this.#writer.data(piece);
  }

  sendEnd(trailers: HeaderList | undefined): void {
    this.#writer.end(trailers);
  }

  flush(): void {
    this.#writer.flush();
  }

  reply(reply: Reply, options: { readonly isLast: boolean }): void {
    const isHead = this.#head?.method === 'HEAD';
    this.wire.write(writeReply(reply, { isHead, keepAlive: !options.isLast }));
  }

  /** Ends the connection if it has no request in progress, and none comes within the grace. */
  drain(): void {
    if (!this.isIdle) return;
    this.#graceTimer ??= setTimeout(() => {
      this.#graceTimer = undefined;
      if (this.isIdle) this.close();
    }, GRACE_MS);
  }

  abort(): void {
    this.#close();
    this.wire.abort();
  }

  /** Ends the connection after what was written: the client may read it all, and what it still sends is thrown away. */
  close(): void {
    if (this.#state === 'closed') return;
    this.#close();
    const { wire } = this;
    wire.end();
    linger(wire);
  }

  /** Leaves the connection to an opaque relay after a 101. */
  takeWire(): Wire {
    const unread = this.#takeUnread();
    this.#close();
    this.wire.detach();
    this.wire.watchQuiet(0);
    if (unread !== undefined) this.wire.pushBack(unread);
    return this.wire;
  }

  onData(chunk: Buffer): void {
    if (this.#state === 'body') {
      this.#readBody(chunk);
      if (this.#wantsPause) this.wire.pause();
      return;
    }
    const isAwaited = this.#state === 'head' && this.#waiting !== undefined;
    if (isAwaited && this.#unread === undefined) {
      this.#readHead(chunk);
      return;
    }
    this.#unread ??= new Accumulator(this.wire.budget);
    this.#unread.push(chunk);
    if (isAwaited) this.#readHead(this.#unread.bytes);
    else if (!this.#unread.hasRoom || this.#unread.length > PIPELINE_LIMIT_BYTES) this.wire.pause();
  }

  onEnd(): void {
    if (this.#state === 'closed') return;
    if (this.#state === 'head' && this.#unread === undefined) {
      this.#settle(undefined);
      return;
    }
    // A client that stops sending before its answer is complete does not wait for it (as common proxies read it).
    this.#fail(
      clientGone(
        this.#state === 'head' ? 'eof in a request head' : 'client closed before its answer was complete',
      ),
    );
  }

  onClose(error: Error | undefined): void {
    if (this.#state === 'closed') return;
    if (this.#state === 'head' && this.#unread === undefined) {
      this.#settle(undefined);
      return;
    }
    this.#fail(clientGone(error?.message ?? 'client connection closed'));
  }

  onDrain(): void {
    this.#receiver?.clientDrained();
  }

  onQuiet(quietMs: number): void {
    if (this.#state === 'head' && this.#unread === undefined) {
      if (quietMs >= this.#config.connectionPool.idleTimeoutMs) this.#settle(undefined);
    } else if (this.#state === 'body' && !this.#wantsPause && quietMs >= this.#config.timeouts.bodyIdleMs) {
      this.#fail(silentBody(this.#config.timeouts.bodyIdleMs));
    }
  }

  /** Reads a head from all that has arrived: what was kept, or a chunk that nothing was kept before. */
  #readHead(bytes: Buffer): void {
    const start = skipEmptyLines(bytes, 0);
    const end = findHeadEnd(bytes, start);
    try {
      if ((end === -1 ? bytes.length : end) - start > this.#config.maxHttpHeadBytes) {
        throw new HttpError(
          'head_too_large',
          `request head larger than ${this.#config.maxHttpHeadBytes} bytes`,
        );
      }
      if (end === -1) {
        refuseBareLineFeed(bytes, start);
        const { headMs } = this.#config.timeouts;
        this.#timer ??= setTimeout(() => this.#stopWaiting()?.reject(lateHead(headMs)), headMs);
        this.#keep(bytes);
        if (this.#unread?.hasRoom === false && this.wire.budget?.isFull === true)
          this.#stopWaiting()?.reject(noRoomForHead());
        return;
      }
      const head = parseRequestHead(bytes, start, end);
      this.#checkHost(head);
      this.#begin(head, bytes.subarray(end));
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      this.#stopWaiting()?.reject(badRequest(error));
    }
  }

  #begin(head: RequestHead, rest: Buffer): void {
    this.#head = head;
    this.#framing = requestFraming(head);
    this.#takeUnread();
    if (rest.length > 0) this.#keep(rest);
    const hasBody =
      this.#framing.kind === 'chunked' || (this.#framing.kind === 'length' && this.#framing.length > 0);
    this.#framer = hasBody
      ? new BodyFramer(this.#framing, { maxTrailerBytes: this.#config.maxHttpHeadBytes })
      : undefined;
    this.#state = hasBody ? 'ready' : 'answering';
    this.#settle(head);
  }

  /** Keeps bytes for later, unless they are what is kept already. */
  #keep(bytes: Buffer): void {
    if (this.#unread !== undefined) return;
    this.#unread = new Accumulator(this.wire.budget);
    this.#unread.push(bytes);
  }

  #takeUnread(): Buffer | undefined {
    const unread = this.#unread;
    this.#unread = undefined;
    return unread?.take();
  }

  /** Clients repeat their Host from request to request: what has been judged is not judged again. */
  #checkHost(head: RequestHead): void {
    if (head.host !== undefined && head.host === this.#checkedHost) return;
    checkHost(head);
    this.#checkedHost = head.host;
  }

  #readBody(bytes: Buffer): void {
    const framer = this.#framer;
    if (framer === undefined) return;
    try {
      const offset = framer.push(bytes, 0, this.#emit);
      if (!framer.isDone) return;
      this.#state = 'answering';
      if (offset < bytes.length) this.#keep(bytes.subarray(offset));
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      this.#fail(badRequest(error));
      return;
    }
    this.#receiver?.requestEnd(framer.trailers);
  }

  #fail(failure: Failure): void {
    this.#failure = failure;
    if (this.#waiting !== undefined) this.#stopWaiting()?.reject(failure);
    else this.#receiver?.requestFailed(failure);
  }

  #settle(head: RequestHead | undefined): void {
    this.#stopWaiting()?.resolve(head);
  }

  #stopWaiting(): Waiting | undefined {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    return waiting;
  }

  #close(): void {
    this.#state = 'closed';
    this.#takeUnread();
    clearTimeout(this.#graceTimer);
    this.#receiver = undefined;
    this.#settle(undefined);
  }
}
