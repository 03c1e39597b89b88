// As much of DER (ITU-T X.690) as certificates need: encoders for a handful of types and a reader of tag,
// length, value. Encoders return new buffers; the reader returns views and never looks beyond the buffer it
// was given.

/** Tags used here. Context tags are `0x80 | n` (primitive) and `0xa0 | n` (constructed). */
export const derTags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/**
 * One element as read. `content` and `raw` (tag and length included) are views; `end` is the offset behind
 * it.
 */
export interface DerElement {
  readonly tag: number;
  readonly content: Buffer;
  readonly raw: Buffer;
  readonly end: number;
}

/** One element of any type whose content is `parts`, one after the other. */
export function encodeElement(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  let length = 0;
  for (const part of parts) length += part.length;
  const lengthOctets = length < 0x80 ? 0 : length < 0x100 ? 1 : length < 0x1_0000 ? 2 : 3;
  const out = Buffer.allocUnsafe(2 + lengthOctets + length);
  out[0] = tag;
  if (lengthOctets === 0) out[1] = length;
  else {
    out[1] = 0x80 | lengthOctets;
    out.writeUIntBE(length, 2, lengthOctets);
  }
  let offset = 2 + lengthOctets;
  for (const part of parts) {
    out.set(part, offset);
    offset += part.length;
  }
  return out;
}

export const encodeSequence = (...parts: readonly Uint8Array[]): Buffer =>
  encodeElement(derTags.sequence, ...parts);
export const encodeSet = (...parts: readonly Uint8Array[]): Buffer => encodeElement(derTags.set, ...parts);
export const encodeOctetString = (bytes: Uint8Array): Buffer => encodeElement(derTags.octetString, bytes);
export const encodeUtf8String = (text: string): Buffer =>
  encodeElement(derTags.utf8String, Buffer.from(text, 'utf8'));
export const encodeTrue = (): Buffer => encodeElement(derTags.boolean, Uint8Array.of(0xff));
export const encodeNull = (): Buffer => Buffer.from([0x05, 0x00]);

/** `unusedBits` (0 to 7) low bits of the last octet do not count. */
export const encodeBitString = (bytes: Uint8Array, unusedBits = 0): Buffer =>
  encodeElement(derTags.bitString, Uint8Array.of(unusedBits), bytes);

/** A non-negative integer from its big-endian octets, in the shortest form (X.690 §8.3). */
export function encodeUnsignedInteger(octets: Uint8Array): Buffer {
  let start = 0;
  while (start < octets.length - 1 && octets[start] === 0) start += 1;
  const shortest = octets.subarray(start);
  const isHighBitSet = ((shortest[0] ?? 0) & 0x80) !== 0;
  if (shortest.length === 0) return encodeElement(derTags.integer, Uint8Array.of(0));
  return isHighBitSet
    ? encodeElement(derTags.integer, Uint8Array.of(0), shortest)
    : encodeElement(derTags.integer, shortest);
}

/**
 * An object identifier from its dotted form, as `2.5.29.17`. Throws RangeError when it has fewer than two
 * arcs.
 */
export function encodeOid(dotted: string): Buffer {
  const [first, second, ...rest] = dotted.split('.').map(Number);
  if (first === undefined || second === undefined || ![first, second, ...rest].every(Number.isSafeInteger)) {
    throw new RangeError(`"${dotted}" is not a dotted object identifier such as 2.5.29.17`);
  }
  const octets: number[] = [];
  for (const arc of [first * 40 + second, ...rest]) {
    const base128 = [arc & 0x7f];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) {
      base128.unshift((left & 0x7f) | 0x80);
    }
    octets.push(...base128);
  }
  return encodeElement(derTags.oid, Uint8Array.from(octets));
}

/** A validity date, to the second: UTCTime before 2050, GeneralizedTime from then on (RFC 5280 §4.1.2.5). */
export function encodeTime(date: Date): Buffer {
  const digits = date.toISOString().replaceAll(/[-:T]/g, '').slice(0, 14);
  return date.getUTCFullYear() < 2050
    ? encodeElement(derTags.utcTime, Buffer.from(`${digits.slice(2)}Z`, 'latin1'))
    : encodeElement(derTags.generalizedTime, Buffer.from(`${digits}Z`, 'latin1'));
}

/**
 * The element that begins at `offset`. Throws RangeError when it does not fit the buffer or has no definite
 * length.
 */
export function readElement(bytes: Buffer, offset = 0): DerElement {
  const tag = bytes[offset];
  const first = bytes[offset + 1];
  if (tag === undefined || first === undefined) throw new RangeError(`DER: nothing to read at ${offset}`);
  let length = first;
  let start = offset + 2;
  if (first >= 0x80) {
    const lengthOctets = first & 0x7f;
    if (lengthOctets === 0 || lengthOctets > 4 || start + lengthOctets > bytes.length) {
      throw new RangeError(`DER: unusable length at ${offset}`);
    }
    length = bytes.readUIntBE(start, lengthOctets);
    start += lengthOctets;
  }
  const end = start + length;
  if (end > bytes.length) throw new RangeError(`DER: the element at ${offset} ends behind its buffer`);
  return { tag, content: bytes.subarray(start, end), raw: bytes.subarray(offset, end), end };
}

/**
 * All elements in the content of a constructed one, in order. Throws RangeError as {@link readElement} does.
 */
export function readChildren(content: Buffer): readonly DerElement[] {
  const children: DerElement[] = [];
  for (let offset = 0; offset < content.length;) {
    const child = readElement(content, offset);
    children.push(child);
    offset = child.end;
  }
  return children;
}
