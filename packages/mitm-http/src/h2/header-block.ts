// A header block that came in several frames, put together again within bounds (RFC 9113 §4.3, §6.10).

/** Collects HEADERS and its CONTINUATION frames. At most one block is open on a connection. */
export class HeaderBlockParts {
  /** The stream whose block is open; 0 when none is. */
  streamId = 0;
  isEnded = false;
  dependsOn = -1;
  /** CONTINUATION frames of the open block. */
  continuationCount = 0;
  #parts: Buffer[] = [];
  #bytes = 0;

  /** Size of what was collected. */
  get byteLength(): number {
    return this.#bytes;
  }

  /** Opens a block with the part that HEADERS brought. */
  open(streamId: number, isEnded: boolean, dependsOn: number): void {
    this.streamId = streamId;
    this.isEnded = isEnded;
    this.dependsOn = dependsOn;
    this.continuationCount = 0;
    this.#parts = [];
    this.#bytes = 0;
  }

  /** Copies a part. */
  add(bytes: Buffer, start: number, end: number): void {
    if (start === end) return;
    this.#parts.push(Buffer.from(bytes.subarray(start, end)));
    this.#bytes += end - start;
  }

  /** Closes the block and returns all of it. */
  close(): Buffer {
    const block = Buffer.concat(this.#parts, this.#bytes);
    this.streamId = 0;
    this.#parts = [];
    this.#bytes = 0;
    return block;
  }
}
