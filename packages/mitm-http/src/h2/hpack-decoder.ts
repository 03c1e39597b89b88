// Reads field blocks (RFC 7541 §3, §6) into flat lists. Whatever a block holds, time and memory are bounded by its bytes, the
// table's maximum and the list's maximum; the syntax of a field is judged once, when it comes as a literal.
import { quoted } from '../errors.ts';
import { tokenBytes, valueBytes } from '../field-lines.ts';
import { entryOverheadBytes, HeaderTable, initialMaxTableBytes } from './header-table.ts';
import { HpackError } from './hpack-error.ts';
import { decodeHuffman, huffmanRoomBytes } from './huffman.ts';
import { staticEntryCount, staticNames, staticValues } from './static-table.ts';

/** What a field block says. */
export interface HeaderBlock {
  /** `[name, value, …]` in order; it ends before the field with which {@link listBytes} passed the maximum. */
  readonly fields: string[];
  /** Name, value and 32 bytes for each field, also those that {@link fields} lacks (RFC 9113 §6.5.2). */
  readonly listBytes: number;
  /** The first field that breaks RFC 9113 §8.2.1 and how, without its value; `undefined` when none does. */
  readonly fault: string | undefined;
  /** Names of the fields that may never be put in a table (RFC 7541 §6.2.3); `undefined` without any. */
  readonly sensitiveNames: ReadonlySet<string> | undefined;
}

/** A list that grows beyond this many times its maximum is no longer decoded to its end. */
export const listBombFactor = 4;

// Enough for a quarter of a billion, and no room to send zeros for ever.
const maxIntegerOctets = 4;
// The smallest and the last maximum since the block before are all that an encoder has to tell (RFC 7541 §4.2).
const maxSizeUpdates = 2;
// Longer strings are rare: they get memory of their own, so that a quiet connection holds little.
const keptScratchBytes = 1024;

const SP = 0x20;
const HTAB = 0x09;
const COLON = 0x3a;
const lowerTokenBytes: Uint8Array = tokenBytes.map((isToken, byte) =>
  byte >= 0x41 && byte <= 0x5a ? 0 : isToken,
);

/** Decodes the blocks of one direction of one connection, in order. After a throw it must not be used again. */
export class HpackDecoder {
  readonly #table: HeaderTable<string>;
  readonly #maxTableBytes: number;
  #scratch: Buffer | undefined;
  #at: number;
  // The literal read last, handed from method to method without an object.
  #name: string;
  #value: string;
  #isSound: boolean;

  /**
   * @param maxTableBytes the SETTINGS_HEADER_TABLE_SIZE that we announce, at least 4096: less would hold only from the peer's
   * acknowledgement on.
   * @throws {RangeError} for less than 4096.
   */
  constructor(maxTableBytes = initialMaxTableBytes) {
    if (!(maxTableBytes >= initialMaxTableBytes)) {
      throw new RangeError(`maxTableBytes is ${maxTableBytes}: use ${initialMaxTableBytes} or more`);
    }
    this.#table = new HeaderTable(initialMaxTableBytes);
    this.#maxTableBytes = maxTableBytes;
    this.#scratch = undefined;
    this.#at = 0;
    this.#name = '';
    this.#value = '';
    this.#isSound = true;
  }

  /** Size of the dynamic table as it is (RFC 7541 §4.1). */
  get tableBytes(): number {
    return this.#table.bytes;
  }

  /**
   * Decodes the block from `start` to `end`: all fragments of a HEADERS frame and its CONTINUATION frames, as one.
   * Fields beyond `maxListBytes` are left out but read, since the table depends on them; beyond {@link listBombFactor} times that,
   * decoding ends with an error, as a few bytes could otherwise stand for any amount.
   * @throws {HpackError} always the end of the connection.
   */
  decode(bytes: Buffer, start: number, end: number, maxListBytes: number): HeaderBlock {
    const table = this.#table;
    const fields: string[] = [];
    let listBytes = 0;
    let fault: string | undefined;
    let sensitiveNames: Set<string> | undefined;
    this.#at = start;
    this.#readSizeUpdates(bytes, end);
    while (this.#at < end) {
      const first = bytes[this.#at++] ?? 0;
      let name: string;
      let value: string;
      if (first >= 0x80) {
        const index = first === 0xff ? this.#readInteger(bytes, end, 0x7f) : first & 0x7f;
        if (index <= staticEntryCount) {
          if (index === 0) throw unknownIndex(0, table.entryCount);
          name = staticNames[index] ?? '';
          value = staticValues[index] ?? '';
        } else {
          const slot = table.slotOf(index - staticEntryCount);
          if (slot < 0) throw unknownIndex(index, table.entryCount);
          name = table.nameAt(slot);
          value = table.valueAt(slot);
          fault ??= table.noteAt(slot);
        }
      } else {
        const literalFault = this.#readLiteral(bytes, end, first);
        fault ??= literalFault;
        name = this.#name;
        value = this.#value;
        if ((first & 0xf0) === 0x10) (sensitiveNames ??= new Set()).add(name);
      }
      listBytes += name.length + value.length + entryOverheadBytes;
      if (listBytes <= maxListBytes) fields.push(name, value);
      else if (listBytes > maxListBytes * listBombFactor) throw listTooLarge(listBytes, maxListBytes);
    }
    this.#name = '';
    this.#value = '';
    return { fields, listBytes, fault, sensitiveNames };
  }

  // Only before the first field (RFC 7541 §4.2).
  #readSizeUpdates(bytes: Buffer, end: number): void {
    for (let count = 0; this.#at < end; count++) {
      const first = bytes[this.#at] ?? 0;
      if ((first & 0xe0) !== 0x20) return;
      if (count === maxSizeUpdates) {
        const message = `a block begins with more than ${maxSizeUpdates} changes of the table's maximum size`;
        throw new HpackError('too_many_size_updates', message);
      }
      this.#at++;
      const maxBytes = (first & 0x1f) === 0x1f ? this.#readInteger(bytes, end, 0x1f) : first & 0x1f;
      if (maxBytes > this.#maxTableBytes) {
        const message = `the table's maximum is set to ${maxBytes} bytes: SETTINGS_HEADER_TABLE_SIZE allows ${this.#maxTableBytes}`;
        throw new HpackError('table_size_too_large', message);
      }
      this.#table.setMaxBytes(maxBytes);
    }
  }

  // Leaves name and value in the members of that name and gives back what is wrong with them (RFC 7541 §6.2).
  #readLiteral(bytes: Buffer, end: number, first: number): string | undefined {
    const isIndexed = first >= 0x40;
    if (!isIndexed && first >= 0x20) {
      const place = 'before the first field of a block is its only place';
      throw new HpackError(
        'misplaced_size_update',
        `the table's maximum is changed behind a field: ${place}`,
      );
    }
    const mask = isIndexed ? 0x3f : 0x0f;
    const index = (first & mask) === mask ? this.#readInteger(bytes, end, mask) : first & mask;
    let fault: string | undefined;
    if (index === 0) {
      this.#name = this.#readString(bytes, end, fieldNameRule);
      if (!this.#isSound) fault = nameFault(this.#name);
    } else fault = this.#takeName(index);
    this.#value = this.#readString(bytes, end, fieldValueRule);
    if (!this.#isSound) fault ??= valueFault(this.#name, this.#value);
    if (isIndexed) this.#table.add(this.#name, this.#value, fault);
    return fault;
  }

  // An entry's fault may be its value's, which is not taken over.
  #takeName(index: number): string | undefined {
    if (index <= staticEntryCount) {
      this.#name = staticNames[index] ?? '';
      return undefined;
    }
    const slot = this.#table.slotOf(index - staticEntryCount);
    if (slot < 0) throw unknownIndex(index, this.#table.entryCount);
    this.#name = this.#table.nameAt(slot);
    if (this.#table.noteAt(slot) === undefined) return undefined;
    const name = Buffer.from(this.#name, 'latin1');
    return fieldNameRule(name, 0, name.length) ? undefined : nameFault(this.#name);
  }

  // RFC 7541 §5.2. Whether the bytes keep the rule is left in `#isSound`.
  #readString(bytes: Buffer, end: number, isSound: TextRule): string {
    if (this.#at >= end) throw truncated('a string');
    const first = bytes[this.#at++] ?? 0;
    const length = (first & 0x7f) === 0x7f ? this.#readInteger(bytes, end, 0x7f) : first & 0x7f;
    const from = this.#at;
    if (length > end - from) throw truncated(`a string of ${length} bytes: ${end - from} are there`);
    this.#at = from + length;
    if (first < 0x80) {
      this.#isSound = isSound(bytes, from, from + length);
      return bytes.toString('latin1', from, from + length);
    }
    const room = huffmanRoomBytes(length);
    const text = room > keptScratchBytes ? Buffer.allocUnsafe(room) : this.#keptScratch();
    const textEnd = decodeHuffman(bytes, from, from + length, text);
    this.#isSound = isSound(text, 0, textEnd);
    return text.toString('latin1', 0, textEnd);
  }

  #keptScratch(): Buffer {
    return (this.#scratch ??= Buffer.allocUnsafeSlow(keptScratchBytes));
  }

  // The rest of an integer whose first octet had all bits of `prefix` set (RFC 7541 §5.1).
  #readInteger(bytes: Buffer, end: number, prefix: number): number {
    let value = prefix;
    for (let octets = 0; octets < maxIntegerOctets; octets++) {
      if (this.#at >= end) throw truncated('an integer');
      const octet = bytes[this.#at++] ?? 0;
      value += (octet & 0x7f) << (7 * octets);
      if (octet < 0x80) return value;
    }
    const message = `an integer has more than ${maxIntegerOctets} octets behind its prefix: no valid block needs that many`;
    throw new HpackError('integer_too_large', message);
  }
}

/** Whether the bytes from `start` to `end` may be what the rule is for. */
type TextRule = (bytes: Uint8Array, start: number, end: number) => boolean;

// A lower-case token, with a colon before it in a pseudo-header field (RFC 9113 §8.2.1, §8.3).
function fieldNameRule(bytes: Uint8Array, start: number, end: number): boolean {
  let at = bytes[start] === COLON && start < end ? start + 1 : start;
  if (at >= end) return false;
  for (; at < end; at++) if (lowerTokenBytes[bytes[at] ?? 0] !== 1) return false;
  return true;
}

// No control character, no space around it (RFC 9113 §8.2.1, RFC 9110 §5.5).
function fieldValueRule(bytes: Uint8Array, start: number, end: number): boolean {
  if (start === end) return true;
  if (isSpace(bytes[start]) || isSpace(bytes[end - 1])) return false;
  for (let at = start; at < end; at++) if (valueBytes[bytes[at] ?? 0] !== 1) return false;
  return true;
}

function isSpace(byte: number | undefined): boolean {
  return byte === SP || byte === HTAB;
}

const upperCaseLetters = /[A-Z]/;

function nameFault(name: string): string {
  if (name === '' || name === ':') return `header name ${quoted(name)} is empty: every field needs a name`;
  if (upperCaseLetters.test(name))
    return `header name ${quoted(name)} has upper-case letters: HTTP/2 names are lower-case`;
  return `header name ${quoted(name)} is not a token`;
}

function valueFault(name: string, value: string): string {
  for (let at = 0; at < value.length; at++) {
    const code = value.charCodeAt(at);
    if (valueBytes[code] === 1) continue;
    return `the value of header ${quoted(name)} has the control byte 0x${code.toString(16).padStart(2, '0')}`;
  }
  return `the value of header ${quoted(name)} begins or ends with a space or a tab`;
}

function unknownIndex(index: number, entryCount: number): HpackError {
  const message = `index ${index} names no entry: those from 1 to ${staticEntryCount + entryCount} do`;
  return new HpackError('invalid_index', message);
}

function truncated(what: string): HpackError {
  return new HpackError('truncated_block', `a field block ends within ${what}`);
}

function listTooLarge(listBytes: number, maxListBytes: number): HpackError {
  const message = `a header list has at least ${listBytes} bytes: more than ${listBombFactor} times the ${maxListBytes} allowed`;
  return new HpackError('list_too_large', message);
}
