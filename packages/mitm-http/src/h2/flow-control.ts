// What a peer may still send. Credit is handed out in halves of a window; the window of a stream grows while its reader keeps
// up, that of the connection is never what holds a peer back (RFC 9113 §5.2, §6.9).

/** A window by which we bound what the peer sends on one stream. */
export class ReceiveWindow {
  /** What the peer may still send, at least. */
  available: number;
  /** What has come and was not consumed yet. */
  heldBytes = 0;
  #sizeBytes: number;
  #creditBytes = 0;
  #keptUpCount = 0;
  readonly #maxBytes: number;

  /**
   * @param sizeBytes the window as announced.
   * @param maxBytes up to which it may grow.
   * @param graceBytes what a peer may send although it is more than `sizeBytes`: it has not seen our SETTINGS yet.
   */
  constructor(sizeBytes: number, maxBytes: number, graceBytes: number) {
    this.available = Math.max(sizeBytes, graceBytes);
    this.#sizeBytes = sizeBytes;
    this.#maxBytes = maxBytes;
  }

  /** The window that the peer has when nothing is under way. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Takes what came off the window; `false` when the peer sends more than it may. */
  receive(bytes: number): boolean {
    if (bytes > this.available) return false;
    this.available -= bytes;
    this.heldBytes += bytes;
    return true;
  }

  /**
   * Counts bytes as done with.
   * @returns the increment to announce by WINDOW_UPDATE, or 0 while less than half a window is due.
   */
  consume(bytes: number): number {
    const done = Math.min(bytes, this.heldBytes);
    this.heldBytes -= done;
    this.#creditBytes += done;
    if (this.#creditBytes * 2 < this.#sizeBytes || this.#creditBytes === 0) return 0;
    const increment = this.#creditBytes + this.#growth();
    this.#creditBytes = 0;
    this.available += increment;
    return increment;
  }

  // Two whole windows, which are four halves, with hardly anything held back: the window is what slows the peer down.
  #growth(): number {
    if (this.heldBytes * 4 > this.#sizeBytes) {
      this.#keptUpCount = 0;
      return 0;
    }
    if (++this.#keptUpCount < 4) return 0;
    this.#keptUpCount = 0;
    const growth = Math.max(0, Math.min(this.#sizeBytes, this.#maxBytes - this.#sizeBytes));
    this.#sizeBytes += growth;
    return growth;
  }
}

/**
 * The window of a connection: what comes is credited whatever becomes of it, since a stream whose reader stalls must not stall
 * its neighbours. So it can't be overrun; the bound for what is held are the windows of the streams.
 */
export class ConnectionCredit {
  #dueBytes = 0;
  readonly #halfBytes: number;

  /** @param sizeBytes the window that the peer has when nothing is under way. */
  constructor(sizeBytes: number) {
    this.#halfBytes = Math.ceil(sizeBytes / 2);
  }

  /** Counts what came; returns the increment to announce, or 0 while less than half a window is due. */
  receive(bytes: number): number {
    this.#dueBytes += bytes;
    if (this.#dueBytes < this.#halfBytes) return 0;
    const increment = this.#dueBytes;
    this.#dueBytes = 0;
    return increment;
  }
}
