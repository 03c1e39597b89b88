// One exchange on a connection: what its owner may call, and the counts that the session keeps about it. Sending goes to
// the sender of the connection, so that a stream costs one object and its window.

import type { HeaderList } from '../header-map.ts';
import type { ReceiveWindow } from './flow-control.ts';
import type { FrameSender } from './frame-sender.ts';
import type { StreamListener } from './session-types.ts';

/** How far our own direction has come. */
export const sendPhase = { head: 0, body: 1, ending: 2, ended: 3 } as const;
/** See {@link sendPhase}. */
export type SendPhase = (typeof sendPhase)[keyof typeof sendPhase];

/**
 * A stream as its owner sees it. Members marked "for the session" are none of the owner's business: they are here because a
 * relay touches them for every frame.
 */
export class H2Stream {
  /** The number on the wire; 0 for a request of ours whose head was not sent yet. */
  id: number;
  /** Who is told. Without one, what comes is dropped. */
  listener: StreamListener | undefined;
  /** For the session: gone from the connection, whether complete or reset. */
  isOver = false;
  /** For the session: the peer has sent END_STREAM. */
  isRemoteEnded = false;
  /** For the session: whether DATA may come, which is after a request or a final response. */
  isHeadReceived = false;
  /** For the session: the message has no body whatever its fields say (RFC 9110 §6.4.1). */
  isBodyless = false;
  /** For the session: the method of a request of ours; it decides whether its answer has a body. */
  method = '';
  /** For the session: what the peer's content-length promises, or -1. */
  expectedBytes = -1;
  /** For the session: payload that came. */
  receivedBytes = 0;
  /** For the session: how far our own direction has come. */
  phase: SendPhase = sendPhase.head;
  /** For the session: what we may send; below zero after the peer made its windows smaller. */
  sendWindow = 0;
  /** For the session: payload that waits for a window, oldest first; `queueAt` bytes of the first have gone. */
  queue: Buffer[] | undefined = undefined;
  /** For the session: see {@link queue}. */
  queueAt = 0;
  /** For the session: trailers behind the queue. */
  queuedTrailers: HeaderList | undefined = undefined;
  /** For the session: names of them that no intermediary may index. */
  queuedSensitiveNames: ReadonlySet<string> | undefined = undefined;
  /** For the session: where in the output the last frame begins that END_STREAM could ride on, and in which epoch. */
  lastFrameAt = -1;
  /** For the session: see {@link lastFrameAt}. */
  lastFrameEpoch = -1;
  /** For the session: what the peer may send. */
  readonly window: ReceiveWindow;
  readonly #sender: FrameSender;

  /** Streams are made by a session only. */
  constructor(id: number, sender: FrameSender, window: ReceiveWindow, listener: StreamListener | undefined) {
    this.id = id;
    this.listener = listener;
    this.window = window;
    this.#sender = sender;
  }

  /**
   * Sends a header block: a request, an interim response or the final one. The first block of a request gives the stream its id.
   * @param fields pseudo-header fields first; names in lower case.
   * @param sensitiveNames names of fields that no intermediary may index (RFC 7541 §7.1).
   * @throws {H2SessionError} `misused_stream` after the final head. On a stream that is over it does nothing.
   */
  sendHead(fields: HeaderList, isEnded: boolean, sensitiveNames?: ReadonlySet<string>): void {
    if (!this.isOver) this.#sender.sendHead(this, fields, isEnded, sensitiveNames);
  }

  /**
   * Sends payload: what the windows allow goes to the output, a copy of the rest waits. The view is free again on return.
   * @returns `false` when the caller should wait for `writable` before it sends more (always on a stream that is over).
   * @throws {H2SessionError} `misused_stream` before the final head and after the end.
   */
  sendData(view: Buffer): boolean {
    return !this.isOver && this.#sender.sendData(this, view);
  }

  /**
   * Ends our direction, after what is queued. END_STREAM rides on the stream's last frame while that is still in the output.
   * @param trailers sent as the last block; an empty list is no trailers.
   * @param sensitiveNames names of them that no intermediary may index.
   * @returns `false` when the end has to wait for windows: `writable` is told once it is on its way.
   * @throws {H2SessionError} `misused_stream` before the final head and after the end.
   */
  sendEnd(trailers?: HeaderList, sensitiveNames?: ReadonlySet<string>): boolean {
    return this.isOver || this.#sender.sendEnd(this, trailers, sensitiveNames);
  }

  /** Ends the stream with RST_STREAM; what is queued is dropped and the listener hears nothing more. */
  reset(code: number): void {
    if (!this.isOver) this.#sender.resetByOwner(this, code);
  }

  /** The reader is done with that many bytes of what `data` brought: the peer may send as many more. */
  consume(bytes: number): void {
    if (!this.isOver && !this.isRemoteEnded) this.#sender.consume(this, bytes);
  }

  /** Whether `sendData` would put at least a byte into the output now. */
  get isWritable(): boolean {
    return !this.isOver && this.#sender.isWritable(this);
  }

  /** Payload that waits for a window or for the socket. */
  get queuedBytes(): number {
    let bytes = -this.queueAt;
    if (this.queue === undefined) return 0;
    for (const part of this.queue) bytes += part.length;
    return bytes;
  }
}
