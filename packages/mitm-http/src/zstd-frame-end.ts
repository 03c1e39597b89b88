// Whether Zstandard bytes end where a frame does (RFC 8878 §3.1): the decompressor of Node 22 takes a body that is cut short for a whole
// one. Only the lengths are read; what is in the blocks is the decompressor's to judge.

const frameMagic = 0xfd_2f_b5_28;
/** The first of sixteen, for frames that carry no data. */
const skippableMagic = 0x18_4d_2a_50;
const dictionaryIdLengths = [0, 1, 2, 4];
const contentSizeLengths = [0, 2, 4, 8];
const blockHeaderLength = 3;
const checksumLength = 4;
/** A run of one byte, which stands there once. */
const runLengthBlock = 1;

/** Follows the frames of a body. */
export class ZstdFrameEnd {
  /** What is awaited: the head of a frame, that of a block, or nothing any more in what is no Zstandard. */
  #awaited: 'frame' | 'block' | 'nothing' = 'frame';
  /** Of the head that is awaited. */
  #head: number[] = [];
  /** Content to pass over first. */
  #skip = 0;
  #hasChecksum = false;

  /** True between frames, and before the first; also for bytes that are no Zstandard at all. */
  get isReached(): boolean {
    return (
      this.#awaited === 'nothing' ||
      (this.#awaited === 'frame' && this.#head.length === 0 && this.#skip === 0)
    );
  }

  /** Takes the next bytes of the body. */
  push(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length && this.#awaited !== 'nothing') {
      const skipped = Math.min(this.#skip, bytes.length - at);
      this.#skip -= skipped;
      at += skipped;
      if (at === bytes.length) return;
      this.#head.push(bytes[at] ?? 0);
      at += 1;
      if (this.#awaited === 'frame') this.#readFrameHead();
      else this.#readBlockHead();
    }
  }

  #readFrameHead(): void {
    const head = Buffer.from(this.#head);
    if (head.length < 4) return;
    const magic = head.readUInt32LE();
    if (magic !== frameMagic) {
      if (magic >>> 4 !== skippableMagic >>> 4) this.#awaited = 'nothing';
      else if (head.length === 8) this.#next('frame', head.readUInt32LE(4));
      return;
    }
    const descriptor = head[4];
    if (descriptor === undefined || head.length < 5 + lengthAfter(descriptor)) return;
    this.#hasChecksum = (descriptor & 4) !== 0;
    this.#next('block', 0);
  }

  #readBlockHead(): void {
    if (this.#head.length < blockHeaderLength) return;
    const value = Buffer.from(this.#head).readUIntLE(0, blockHeaderLength);
    const isLast = (value & 1) !== 0;
    const length = ((value >> 1) & 3) === runLengthBlock ? 1 : value >> 3;
    if (isLast) this.#next('frame', length + (this.#hasChecksum ? checksumLength : 0));
    else this.#next('block', length);
  }

  #next(awaited: 'frame' | 'block', skip: number): void {
    this.#awaited = awaited;
    this.#skip = skip;
    this.#head = [];
  }
}

/** How long the head of a frame is behind its descriptor (§3.1.1.1). */
function lengthAfter(descriptor: number): number {
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const contentSize = contentSizeLengths[descriptor >> 6] ?? 0;
  const window = isSingleSegment ? 0 : 1;
  const dictionary = dictionaryIdLengths[descriptor & 3] ?? 0;
  return window + dictionary + (contentSize === 0 && isSingleSegment ? 1 : contentSize);
}
