// Writes field blocks (RFC 7541 §6). Fields that come again cost one or two bytes and two lookups; strings go out as they are,
// since Huffman coding costs more time than the bytes that it saves are worth. What leaves the table leaves memory.
import type { HeaderList } from '../header-map.ts';
import { entryOverheadBytes, HeaderTable, initialMaxTableBytes } from './header-table.ts';
import { staticEntryCount, staticNameOf } from './static-table.ts';
import type { StaticName } from './static-table.ts';

// Their values hardly ever come a second time: in the table they would only push others out.
const volatileNames: ReadonlySet<string> = new Set([
  ':path',
  'age',
  'content-length',
  'etag',
  'if-modified-since',
  'if-none-match',
  'last-modified',
  'location',
  'set-cookie',
]);

// Who sees the size of a block can tell whether a guess of his was in the table (RFC 7541 §7.1). A short secret can be guessed as
// a whole, so it stays out of the table: cookies below 20 bytes, credentials below what a user name with a password needs.
const guessableBelow: Readonly<Record<string, number>> = {
  authorization: 48,
  cookie: 20,
  'proxy-authorization': 48,
};

// An entry may take a third of the table; a larger one would empty it for a single field.
const tableShare = 3;
// After that many new values in a row a field is taken for one that always differs, such as an id…
const maxFreshInRow = 8;
// …and only each eighth of its values is still put in the table, to notice when they begin to repeat.
const freshProbeMask = 7;
// Up to here a loop is faster than the call into native code.
const maxLoopedLength = 24;
// First octet, index or name's length, value's length: what a field takes at most besides its strings.
const maxFieldOverheadBytes = 13;
const maxSizeUpdateBytes = 6;

// The first octet of each form with the largest value of its prefix (RFC 7541 §6).
const indexedForm = 0x80;
const indexedMax = 0x7f;
const insertedForm = 0x40;
const insertedMax = 0x3f;
const plainForm = 0x00;
const neverIndexedForm = 0x10;
const literalMax = 0x0f;
const sizeUpdateForm = 0x20;
const sizeUpdateMax = 0x1f;

const noValues: readonly string[] = [];

// All that is known of one name: its place in the static table and which of its values are in the dynamic one, by entry number.
class NameRecord {
  readonly name: string;
  readonly staticIndex: number;
  readonly staticValues: readonly string[];
  readonly isVolatile: boolean;
  readonly guessableBelow: number;
  // Nearly all names have one value in the table, which needs no map.
  newest: string | undefined;
  newestNumber: number;
  older: Map<string, number> | undefined;
  freshInRow: number;

  constructor(name: string, inStatic: StaticName | undefined) {
    this.name = name;
    this.staticIndex = inStatic === undefined ? 0 : inStatic.index;
    this.staticValues = inStatic === undefined ? noValues : inStatic.values;
    this.isVolatile = volatileNames.has(name);
    this.guessableBelow = guessableBelow[name] ?? 0;
    this.newest = undefined;
    this.newestNumber = 0;
    this.older = undefined;
    this.freshInRow = 0;
  }

  /** The number of the entry with that value; -1 when it is not in the dynamic table. */
  numberOf(value: string): number {
    if (this.newest === undefined) return -1;
    if (this.newest === value) return this.newestNumber;
    return this.older === undefined ? -1 : (this.older.get(value) ?? -1);
  }

  remember(value: string, number: number): void {
    if (this.newest !== undefined) (this.older ??= new Map()).set(this.newest, this.newestNumber);
    this.newest = value;
    this.newestNumber = number;
  }

  /** Takes back what was remembered of the table's oldest entry. */
  forget(value: string): void {
    if (this.older === undefined) this.newest = undefined;
    else {
      this.older.delete(value);
      if (this.older.size === 0) this.older = undefined;
    }
  }
}

/** Encodes the blocks of one direction of one connection; they must be sent in the order in which they were encoded. */
export class HpackEncoder {
  readonly #table: HeaderTable<NameRecord>;
  // Names with an entry in the dynamic table, and those of the static one that have been met.
  readonly #records: Map<string, NameRecord>;
  // The smallest maximum since the last block, -1 without a change.
  #smallestBytes: number;

  constructor() {
    this.#table = new HeaderTable(initialMaxTableBytes);
    this.#records = new Map();
    this.#smallestBytes = -1;
  }

  /** Size of the dynamic table as it is (RFC 7541 §4.1). */
  get tableBytes(): number {
    return this.#table.bytes;
  }

  /**
   * Takes over the peer's SETTINGS_HEADER_TABLE_SIZE. At most 4096 bytes are used, whatever it allows. A change is announced at the
   * start of the next block: the smallest maximum since the last one, then the present one (RFC 7541 §4.2).
   */
  setMaxTableBytes(peerLimit: number): void {
    const maxBytes = Math.min(peerLimit, initialMaxTableBytes);
    if (maxBytes === this.#table.maxBytes) return;
    this.#smallestBytes = this.#smallestBytes < 0 ? maxBytes : Math.min(this.#smallestBytes, maxBytes);
    while (this.#table.bytes > maxBytes) this.#dropOldest();
    this.#table.setMaxBytes(maxBytes);
  }

  /** Upper bound of what {@link encode} writes for these fields. */
  maxEncodedBytes(fields: HeaderList): number {
    let bytes = maxSizeUpdateBytes + (fields.length >> 1) * maxFieldOverheadBytes;
    for (let i = 0; i < fields.length; i++) bytes += (fields[i] ?? '').length;
    return bytes;
  }

  /**
   * Writes one block into `out` at `at`, where there must be room for {@link maxEncodedBytes}. Characters beyond latin1 lose their
   * upper byte.
   * @param sensitiveNames fields that must never be put in a table, here or further on (RFC 7541 §6.2.3).
   * @returns where the block ends.
   */
  encode(fields: HeaderList, out: Buffer, at: number, sensitiveNames?: ReadonlySet<string>): number {
    let end = this.#smallestBytes < 0 ? at : this.#writeSizeUpdates(out, at);
    for (let i = 0; i < fields.length; i += 2) {
      const name = fields[i] ?? '';
      const value = fields[i + 1] ?? '';
      if (sensitiveNames !== undefined && sensitiveNames.has(name)) {
        end = this.#writeLiteral(out, end, neverIndexedForm, name, value, this.#recordOf(name));
      } else end = this.#writeField(out, end, name, value);
    }
    return end;
  }

  #writeSizeUpdates(out: Buffer, at: number): number {
    const maxBytes = this.#table.maxBytes;
    let end = at;
    if (this.#smallestBytes < maxBytes) {
      end = writeInteger(out, end, sizeUpdateForm, sizeUpdateMax, this.#smallestBytes);
    }
    this.#smallestBytes = -1;
    return writeInteger(out, end, sizeUpdateForm, sizeUpdateMax, maxBytes);
  }

  #writeField(out: Buffer, at: number, name: string, value: string): number {
    const record = this.#recordOf(name);
    if (record !== undefined) {
      const staticValues = record.staticValues;
      for (let i = 0; i < staticValues.length; i++) {
        if (staticValues[i] === value) {
          out[at] = indexedForm | (record.staticIndex + i);
          return at + 1;
        }
      }
      const number = record.numberOf(value);
      if (number >= 0) {
        record.freshInRow = 0;
        return writeInteger(out, at, indexedForm, indexedMax, this.#indexOf(number));
      }
    }
    if (!this.#isWorthInserting(record, name, value)) {
      return this.#writeLiteral(out, at, plainForm, name, value, record);
    }
    const end = this.#writeLiteral(out, at, insertedForm, name, value, record);
    this.#insert(name, out.toString('latin1', end - value.length, end), record);
    return end;
  }

  #isWorthInserting(record: NameRecord | undefined, name: string, value: string): boolean {
    const entryBytes = name.length + value.length + entryOverheadBytes;
    if (entryBytes * tableShare > this.#table.maxBytes) return false;
    if (record === undefined) return true;
    if (record.isVolatile || value.length < record.guessableBelow) return false;
    const fresh = record.freshInRow++;
    return fresh < maxFreshInRow || (fresh & freshProbeMask) === 0;
  }

  #writeLiteral(
    out: Buffer,
    at: number,
    form: number,
    name: string,
    value: string,
    record: NameRecord | undefined,
  ): number {
    let nameIndex = 0;
    if (record !== undefined) {
      nameIndex = record.staticIndex > 0 ? record.staticIndex : this.#indexOf(record.newestNumber);
    }
    const end = writeInteger(out, at, form, form === insertedForm ? insertedMax : literalMax, nameIndex);
    return writeString(out, nameIndex > 0 ? end : writeString(out, end, name), value);
  }

  // The value is a copy made of what was written: the string that came may be a cut of a whole head, which the table would keep
  // alive for as long as the entry. The same holds for the name.
  #insert(name: string, ownValue: string, known: NameRecord | undefined): void {
    while (!this.#table.hasRoom(name.length + ownValue.length + entryOverheadBytes)) this.#dropOldest();
    const record = known ?? new NameRecord(Buffer.from(name, 'latin1').toString('latin1'), undefined);
    if (record.newest === undefined) this.#records.set(record.name, record);
    record.remember(ownValue, this.#table.insertedCount);
    this.#table.add(record.name, ownValue, record);
  }

  #dropOldest(): void {
    const slot = this.#table.oldestSlot;
    const record = this.#table.noteAt(slot);
    if (record !== undefined) {
      record.forget(this.#table.valueAt(slot));
      if (record.newest === undefined && record.staticIndex === 0) this.#records.delete(record.name);
    }
    this.#table.dropOldest();
  }

  // `undefined` for a name that is in neither table.
  #recordOf(name: string): NameRecord | undefined {
    const known = this.#records.get(name);
    if (known !== undefined) return known;
    const inStatic = staticNameOf.get(name);
    if (inStatic === undefined) return undefined;
    const record = new NameRecord(inStatic.name, inStatic);
    this.#records.set(inStatic.name, record);
    return record;
  }

  #indexOf(number: number): number {
    return staticEntryCount + this.#table.insertedCount - number;
  }
}

// RFC 7541 §5.1.
function writeInteger(out: Buffer, at: number, form: number, max: number, value: number): number {
  if (value < max) {
    out[at] = form | value;
    return at + 1;
  }
  out[at++] = form | max;
  let rest = value - max;
  while (rest > 0x7f) {
    out[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  out[at++] = rest;
  return at;
}

// RFC 7541 §5.2, without Huffman coding.
function writeString(out: Buffer, at: number, text: string): number {
  const from = writeInteger(out, at, 0, 0x7f, text.length);
  if (text.length > maxLoopedLength) return from + out.write(text, from, 'latin1');
  for (let i = 0; i < text.length; i++) out[from + i] = text.charCodeAt(i);
  return from + text.length;
}
