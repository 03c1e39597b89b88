// Undoing the mask of client frames (RFC 6455 §5.3) in place, four bytes at a time. Only copies are unmasked: what is relayed keeps
// the mask it came with.
import { endianness } from 'node:os';

const isLittleEndian = endianness() === 'LE';

// Below this a view of words costs more than it saves.
const leastForWords = 32;

/**
 * Applies the mask to `bytes[start, end)`. Masking again restores what was there.
 * @param maskKey the four bytes of the mask as a big-endian number.
 * @param phase how many bytes of the same frame come before `start`.
 */
export function applyMask(bytes: Buffer, start: number, end: number, maskKey: number, phase: number): void {
  let at = start;
  // The key, turned so that its highest byte is for the byte at `at`.
  let key = rotated(maskKey, phase);
  if (end - start >= leastForWords) {
    const lead = -(bytes.byteOffset + start) & 3;
    for (const leadEnd = start + lead; at < leadEnd; at++) {
      bytes[at] = (bytes[at] ?? 0) ^ (key >>> 24);
      key = rotated(key, 1);
    }
    const wordCount = (end - at) >>> 2;
    const words = new Int32Array(bytes.buffer, bytes.byteOffset + at, wordCount);
    const word = isLittleEndian ? swapped(key) : key;
    for (let i = 0; i < wordCount; i++) words[i] = (words[i] ?? 0) ^ word;
    at += wordCount * 4;
  }
  for (; at < end; at++) {
    bytes[at] = (bytes[at] ?? 0) ^ (key >>> 24);
    key = rotated(key, 1);
  }
}

function rotated(key: number, byteCount: number): number {
  const bits = (byteCount & 3) * 8;
  return bits === 0 ? key : (key << bits) | (key >>> (32 - bits));
}

function swapped(key: number): number {
  return (key << 24) | ((key & 0xff00) << 8) | ((key >>> 8) & 0xff00) | (key >>> 24);
}
