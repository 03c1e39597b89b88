// Base64 in pieces of any size. Padding may stand in the middle, since a sender may encode each piece that it flushes by itself;
// nothing but the alphabet may.

const NONE = 64;
const PAD = 0x3d;
const sextets: Uint8Array = sextetTable();

function sextetTable(): Uint8Array {
  const table = new Uint8Array(256).fill(NONE);
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  for (let value = 0; value < alphabet.length; value++) table[alphabet.charCodeAt(value)] = value;
  return table;
}

/** Decodes base64 (RFC 4648 §4) as it comes. */
export class Base64Stream {
  #bits: number;
  /** Characters and padding of the group in progress. */
  #charCount: number;
  #padCount: number;
  #isFaulty: boolean;

  constructor() {
    this.#bits = 0;
    this.#charCount = 0;
    this.#padCount = 0;
    this.#isFaulty = false;
  }

  /** A character that can't stand where it did has been met; nothing behind it is decoded. */
  get isFaulty(): boolean {
    return this.#isFaulty;
  }

  /** Whether the last group of four characters is not all there. */
  get isPartial(): boolean {
    return this.#charCount > 0;
  }

  /** The bytes that the next characters complete. */
  decode(chunk: Uint8Array): Buffer {
    const out = Buffer.allocUnsafe(Math.ceil((chunk.length * 3) / 4));
    let length = 0;
    for (let i = 0; i < chunk.length && !this.#isFaulty; i++) {
      const c = chunk[i] ?? 0;
      const sextet = sextets[c] ?? NONE;
      if (sextet !== NONE && this.#padCount === 0) {
        this.#bits = ((this.#bits << 6) | sextet) & 0xffffff;
        this.#charCount++;
        // The second character completes the first byte, and so on.
        if (this.#charCount > 1) out[length++] = (this.#bits >> (8 - 2 * this.#charCount)) & 0xff;
        if (this.#charCount === 4) this.#charCount = 0;
      } else this.#pad(c);
    }
    return out.subarray(0, length);
  }

  #pad(c: number): void {
    if (c !== PAD || this.#charCount < 2) {
      this.#isFaulty = true;
      return;
    }
    this.#padCount++;
    if (this.#charCount + this.#padCount < 4) return;
    this.#charCount = 0;
    this.#padCount = 0;
  }
}
