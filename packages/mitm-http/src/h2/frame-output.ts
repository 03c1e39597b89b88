// The frames of one turn, one behind the other in one buffer that leaves in one write. Memory that was handed out is touched
// again only after it was given back; a session without streams holds at most a small buffer, and none at rest.

const nothing = Buffer.alloc(0);
const leastBytes = 4096;
const mostExpectedBytes = 262_144;
/** The growth of a full output by one more frame included. */
const mostKeptBytes = 2 * mostExpectedBytes;

/** Collects frames until they are taken. Writers ask for room, write into `bytes` and commit. */
export class FrameOutput {
  /** Where to write; changes with each call of {@link room}. */
  bytes: Buffer = nothing;
  /** Bytes of finished frames. */
  length = 0;
  /** Goes up with each {@link take}: an offset noted under another epoch points nowhere. */
  epoch = 0;
  /** Answers owed to the peer among what was not taken yet. */
  controlFrames = 0;
  #lent: Buffer | undefined = undefined;
  /** Given back while something else was being written to. */
  #spare: Buffer = nothing;
  #expectedBytes = leastBytes;
  #isAnnounced = false;
  readonly #onReady: () => void;

  /** @param onReady called when the first frame since the last {@link take} is complete. */
  constructor(onReady: () => void) {
    this.#onReady = onReady;
  }

  /** Makes room for that many more bytes and returns the offset to write at. */
  room(bytes: number): number {
    const needed = this.length + bytes;
    if (needed > this.bytes.length) this.#grow(needed);
    return this.length;
  }

  /** Everything up to `end` is finished frames. */
  commit(end: number): void {
    this.length = end;
    if (this.#isAnnounced) return;
    this.#isAnnounced = true;
    this.#onReady();
  }

  /** All finished frames as one view, or nothing. The memory belongs to the caller until {@link release}. */
  take(): Buffer | undefined {
    this.#isAnnounced = false;
    if (this.length === 0) return undefined;
    const lent = this.bytes;
    const taken = lent.subarray(0, this.length);
    // What comes next is likely to be as large as now, or a bit smaller.
    this.#expectedBytes = Math.min(
      mostExpectedBytes,
      Math.max(leastBytes, this.length, this.#expectedBytes >> 1),
    );
    this.#lent = lent;
    this.bytes = nothing;
    this.length = 0;
    this.controlFrames = 0;
    this.epoch++;
    return taken;
  }

  /** Gives back what was taken last. It is kept for the next frames when it has a modest size. */
  release(isIdle: boolean): void {
    const lent = this.#lent;
    this.#lent = undefined;
    if (isIdle) this.#spare = nothing;
    // A busy stretch that is over shall not cost its memory for as long as the connection lives.
    const kept = isIdle ? leastBytes : Math.min(mostKeptBytes, 4 * this.#expectedBytes);
    if (lent === undefined || lent.length > kept) return;
    if (this.bytes === nothing) this.bytes = lent;
    else if (!isIdle) this.#spare = lent;
  }

  /** Lets go of the memory that is kept for the next frames, where there are none. */
  rest(): void {
    if (this.length > 0) return;
    this.bytes = nothing;
    this.#spare = nothing;
  }

  #grow(needed: number): void {
    let capacity = Math.max(this.#expectedBytes, this.bytes.length);
    while (capacity < needed) capacity *= 2;
    const isSpareEnough = this.#spare.length >= needed;
    const grown = isSpareEnough ? this.#spare : Buffer.allocUnsafeSlow(capacity);
    if (isSpareEnough) this.#spare = nothing;
    if (this.length > 0) this.bytes.copy(grown, 0, 0, this.length);
    this.bytes = grown;
  }
}
