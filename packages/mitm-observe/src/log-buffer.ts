// The lines that wait to be written, in order and with their places. It is bounded: events that come with every piece of a body
// are left out first, and what tells of the life of a flow only when many times as much is waiting.
import type { LinePlace } from './index-row.ts';
import type { EncodedEvent } from './line-encoder.ts';

/** A line with its place. */
export type WaitingLine = EncodedEvent;

/** How much more than events of body pieces those of a flow's life may fill. */
const lifecycleShare = 8;

export class LogBuffer {
  readonly #maxBytes: number;
  #rotateBytes: number;
  #lines: WaitingLine[] = [];
  #bytes = 0;
  #segment = 0;
  #byteOffset = 0;

  /** @param maxBytes what events of body pieces may fill; @param rotateBytes the size that no segment outgrows, Infinity for none */
  constructor(maxBytes: number, rotateBytes: number) {
    this.#maxBytes = maxBytes;
    this.#rotateBytes = rotateBytes;
  }

  get count(): number {
    return this.#lines.length;
  }

  /** True when so much waits that it should be written at once. */
  get isFull(): boolean {
    return this.#bytes >= this.#maxBytes;
  }

  /** Whether there is room for one more line. */
  hasRoom(isOfBodyPiece: boolean): boolean {
    return this.#bytes < (isOfBodyPiece ? this.#maxBytes : lifecycleShare * this.#maxBytes);
  }

  /** Adds a line behind all others. */
  push(line: WaitingLine): void {
    this.#place(line);
    this.#lines.push(line);
    this.#bytes += line.lineBytes;
  }

  /** Lines of one segment, from the first that waits. Their bytes count until they are `settle`d. */
  takeBatch(): readonly WaitingLine[] {
    const segment = this.#lines[0]?.segment;
    const next = this.#lines.findIndex((line) => line.segment !== segment);
    return this.#lines.splice(0, next === -1 ? this.#lines.length : next);
  }

  /** Lines that were taken are written or lost. */
  settle(lines: readonly WaitingLine[]): void {
    for (const { lineBytes } of lines) this.#bytes -= lineBytes;
  }

  /** Another size that no segment outgrows, for lines to come. */
  set rotateBytes(bytes: number) {
    this.#rotateBytes = bytes;
  }

  /** The next line stands here, and what waits is placed anew behind it. */
  moveTo({ segment, byteOffset }: Pick<LinePlace, 'segment' | 'byteOffset'>): void {
    this.#segment = segment;
    this.#byteOffset = byteOffset;
    for (const line of this.#lines) this.#place(line);
  }

  #place(line: WaitingLine): void {
    if (this.#byteOffset > 0 && this.#byteOffset + line.lineBytes > this.#rotateBytes) {
      this.#segment += 1;
      this.#byteOffset = 0;
    }
    line.segment = this.#segment;
    line.byteOffset = this.#byteOffset;
    this.#byteOffset += line.lineBytes;
  }
}
