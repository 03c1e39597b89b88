// The other direction of the Huffman code, which only tests need: plain strings of bits, slow and easy to trust.
import { huffmanCodeLengths, huffmanCodes } from '../../src/h2/huffman.ts';

/** The bits of one symbol's code. */
export function bitsOf(symbol: number): string {
  return (huffmanCodes[symbol] ?? 0).toString(2).padStart(huffmanCodeLengths[symbol] ?? 0, '0');
}

/** The bytes of some bits, the last byte filled up with ones. */
export function packBits(bits: string): Buffer {
  const padded = bits.padEnd(Math.ceil(bits.length / 8) * 8, '1');
  return Buffer.from((padded.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
}

/** Some bytes in Huffman code. */
export function encodeHuffman(bytes: Uint8Array): Buffer {
  return packBits(Array.from(bytes, bitsOf).join(''));
}
