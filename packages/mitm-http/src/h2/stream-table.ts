// Which streams a connection has, and what is known about those it had: enough to tell a frame that crossed our
// RST_STREAM from one that must not be (RFC 9113 §5.1, §5.1.1). Memory is bounded, however many streams there were.

import { maxInt31 } from './frames.ts';
import type { H2Stream } from './stream.ts';

/** What an id stands for that no open stream has. */
export const standing = {
  /** Never used; a client's HEADERS may open it. */
  idle: 0,
  /** Never to be used, by its number or by the order of numbers. */
  illegal: 1,
  /** Complete, or passed over. */
  closed: 2,
  /** The peer has reset it. */
  resetByPeer: 3,
  /** We have reset it, not long ago: frames may still be under way. */
  resetByUs: 4,
} as const;
/** See {@link standing}. */
export type Standing = (typeof standing)[keyof typeof standing];

const rememberedResets = 256;

/** The streams of one connection. */
export class StreamTable {
  /** Open streams by id. */
  readonly streams = new Map<number, H2Stream>();
  /** Highest id that the peer opened. */
  lastPeerId = 0;
  /** Streams that the peer opened so far. */
  peerOpenedCount = 0;
  /** Streams of either side that are not over, those without an id too. */
  openCount = 0;
  /** Client: streams that were opened and have no id yet. */
  readonly unsent = new Set<H2Stream>();
  #nextLocalId = 1;
  #forgottenId = 0;
  readonly #resets = new Map<number, Standing>();
  readonly #isServer: boolean;

  constructor(isServer: boolean) {
    this.#isServer = isServer;
  }

  /** Whether ids are left for streams of ours. */
  get hasIds(): boolean {
    return this.#nextLocalId + 2 * this.unsent.size <= maxInt31;
  }

  /** Client: gives a stream its id and puts it among the open ones. */
  assignId(stream: H2Stream): void {
    this.unsent.delete(stream);
    stream.id = this.#nextLocalId;
    this.#nextLocalId += 2;
    this.streams.set(stream.id, stream);
  }

  /** Server: the peer has used this id, whether or not the stream is accepted. */
  noteOpened(id: number): void {
    this.lastPeerId = id;
    this.peerOpenedCount++;
  }

  /** Server: adds a stream that the peer opened. */
  add(stream: H2Stream): void {
    this.openCount++;
    this.streams.set(stream.id, stream);
  }

  /** Takes a stream out. Why does not matter for a complete one. */
  remove(stream: H2Stream, why: Standing): void {
    stream.isOver = true;
    this.openCount--;
    if (stream.id === 0) this.unsent.delete(stream);
    else {
      this.streams.delete(stream.id);
      if (why !== standing.closed) this.noteReset(stream.id, why);
    }
  }

  /** Remembers a reset, also of a stream that was refused. */
  noteReset(id: number, why: Standing): void {
    this.#resets.set(id, why);
    if (this.#resets.size <= rememberedResets) return;
    for (const [oldest, reason] of this.#resets) {
      this.#resets.delete(oldest);
      if (reason === standing.resetByUs && oldest > this.#forgottenId) this.#forgottenId = oldest;
      break;
    }
  }

  /** What an id stands for that no open stream has. */
  standingOf(id: number): Standing {
    const isOfClient = (id & 1) === 1;
    if (!isOfClient) return standing.illegal;
    if (this.#isServer ? id > this.lastPeerId : id >= this.#nextLocalId) return standing.idle;
    const reset = this.#resets.get(id);
    if (reset !== undefined) return reset;
    // So many resets ago that nobody knows: the benefit of the doubt, since the peer may be slow rather than wrong.
    return id <= this.#forgottenId ? standing.resetByUs : standing.closed;
  }

  /** Server: whether the peer has passed over ids, so that a lower one may never have been used. */
  get hasGaps(): boolean {
    return this.#isServer && this.lastPeerId !== 2 * this.peerOpenedCount - 1;
  }
}
