// Which of the two forms of DEFLATE a body of the coding `deflate` has: it means the zlib form (RFC 9110 §8.4.1.2), but bare DEFLATE is
// sent under that name too.

/** Whether bytes begin as the zlib form does. One byte alone can't tell: the zlib form is the right one then. */
export function isZlibForm(bytes: Uint8Array): boolean {
  const first = bytes[0] ?? 0;
  if (bytes.length === 1) return (first & 0x0f) === 8;
  return (first & 0x0f) === 8 && ((first << 8) + (bytes[1] ?? 0)) % 31 === 0;
}
