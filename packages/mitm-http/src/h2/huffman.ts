// The Huffman code of HPACK (RFC 7541 §5.2, Appendix B), decoded by an automaton that takes half a byte at a step. Its
// tables are constants; nothing here keeps state between two strings.
import { HpackError } from './hpack-error.ts';

/** The symbol after the 256 bytes: end of string. It may never be sent as a whole. */
export const endOfString = 256;

/**
 * Bits in the code of each byte, and of {@link endOfString}. The code is canonical: codes in order of length, then of symbol,
 * each one more than the last, filled up with zero bits when the length grows. So the lengths are all there is to know.
 */
export const huffmanCodeLengths: Uint8Array = Uint8Array.from([
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28,
  28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7,
  8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19,
  13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13,
  28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21,
  22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23,
  22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
  19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25,
  25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
]);

/**
 * The code of each symbol as a number whose lowest {@link huffmanCodeLengths} bits are to be read from the highest down.
 */
export const huffmanCodes: Uint32Array = canonicalCodes(huffmanCodeLengths);

function canonicalCodes(lengths: Uint8Array): Uint32Array {
  const codes = new Uint32Array(lengths.length);
  let code = 0;
  for (let bits = 1; bits <= 30; bits++) {
    code *= 2;
    for (let symbol = 0; symbol < lengths.length; symbol++)
      if (lengths[symbol] === bits) codes[symbol] = code++;
  }
  return codes;
}

// A state is an inner node of the code tree: what has been read of a symbol that is not complete. A complete binary tree of 257
// leaves has 256 of them, so that a state fits a byte. Node 0 is the root.
const stateCount = 256;

// Two entries per state, for a 0 and for a 1: the next state, or the complement of the symbol that is complete.
function buildTree(): Int16Array {
  const tree = new Int16Array(stateCount * 2);
  let used = 1;
  for (let symbol = 0; symbol <= endOfString; symbol++) {
    const code = huffmanCodes[symbol] ?? 0;
    let state = 0;
    for (let bit = (huffmanCodeLengths[symbol] ?? 0) - 1; bit > 0; bit--) {
      const edge = state * 2 + ((code >>> bit) & 1);
      if (tree[edge] === 0) tree[edge] = used++;
      state = tree[edge] ?? 0;
    }
    tree[state * 2 + (code & 1)] = ~symbol;
  }
  return tree;
}

// A step takes four bits, which complete at most one symbol since each has five or more. With whole bytes the table would be
// sixteen times as large: too slow to build at load, too large for the nearest cache. Both tables are asked at
// state * 16 + bits; the next state comes multiplied already, as each step waits for it.
interface Steps {
  readonly nextStates: Uint16Array;
  /** The byte that became complete with `isComplete` added; `isEndOfString` when that symbol did; 0 when none did. */
  readonly emitted: Uint16Array;
}
const completeShift = 8;
const isComplete = 1 << completeShift;
const isEndOfString = isComplete << 1;

function buildSteps(tree: Int16Array): Steps {
  const nextStates = new Uint16Array(stateCount * 16);
  const emitted = new Uint16Array(stateCount * 16);
  for (let index = 0; index < nextStates.length; index++) {
    let state = index >> 4;
    for (let bit = 3; bit >= 0; bit--) {
      const next = tree[state * 2 + ((index >> bit) & 1)] ?? 0;
      state = next < 0 ? 0 : next;
      if (next < 0) emitted[index] = next === ~endOfString ? isEndOfString : isComplete | ~next;
    }
    nextStates[index] = state * 16;
  }
  return { nextStates, emitted };
}

// A string may end in the root, or within the first seven bits of end-of-string, which are all ones (RFC 7541 §5.2).
function buildAcceptable(tree: Int16Array): Uint8Array {
  const acceptable = new Uint8Array(stateCount);
  for (let state = 0, bits = 0; bits <= 7; bits++) {
    acceptable[state] = 1;
    state = tree[state * 2 + 1] ?? 0;
  }
  return acceptable;
}

const tree = buildTree();
const { nextStates, emitted } = buildSteps(tree);
const acceptable = buildAcceptable(tree);

/** The room for what so many Huffman-coded bytes stand for: the shortest codes have five bits, and one byte is for scratch. */
export function huffmanRoomBytes(codedBytes: number): number {
  return Math.floor((codedBytes * 8) / 5) + 1;
}

/**
 * Decodes `bytes` from `start` to `end` into `out`, which must have room for {@link huffmanRoomBytes}.
 * @returns how many bytes were written.
 * @throws {HpackError} `huffman_end_of_string`, or `invalid_huffman_padding` for more than seven bits of padding or any that is
 * not one (RFC 7541 §5.2).
 */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number, out: Uint8Array): number {
  let state = 0;
  let count = 0;
  // A byte is always written and only sometimes kept: whether a symbol is complete cannot be predicted, so a branch costs more.
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0;
    const high = state + (byte >> 4);
    const low = (nextStates[high] ?? 0) + (byte & 0x0f);
    state = nextStates[low] ?? 0;
    const first = emitted[high] ?? 0;
    const second = emitted[low] ?? 0;
    if (((first | second) & isEndOfString) !== 0) throw endOfStringSent(at - start);
    out[count] = first & 0xff;
    count += first >> completeShift;
    out[count] = second & 0xff;
    count += second >> completeShift;
  }
  if (acceptable[state >> 4] !== 1) {
    const rule = 'the bits behind the last symbol must be at most seven, all ones';
    throw new HpackError(
      'invalid_huffman_padding',
      `a Huffman-coded string of ${end - start} bytes is padded wrongly: ${rule}`,
    );
  }
  return count;
}

function endOfStringSent(offset: number): HpackError {
  const place = `byte ${offset} of a Huffman-coded string`;
  return new HpackError(
    'huffman_end_of_string',
    `${place} completes the end-of-string symbol, which is never sent`,
  );
}
