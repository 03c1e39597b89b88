// The dynamic table of HPACK (RFC 7541 §2.3.2, §4): a ring of entries, first in, first out, whose size in bytes never passes
// its maximum. Both directions use it; what else they know of an entry is its note.

/** What an entry costs beyond the bytes of its name and value (RFC 7541 §4.1). */
export const entryOverheadBytes = 32;

/** The maximum that both sides start with (RFC 9113 §6.5.2, SETTINGS_HEADER_TABLE_SIZE). */
export const initialMaxTableBytes = 4096;

const initialSlots = 16;

/**
 * Entries are addressed by slots of the ring, which stay valid until the next change. Strings are latin1: one byte each
 * character. No entry stays reachable after it was dropped.
 */
export class HeaderTable<Note> {
  #names: string[];
  #values: string[];
  #notes: (Note | undefined)[];
  #mask: number;
  #insertedCount: number;
  #entryCount: number;
  #bytes: number;
  #maxBytes: number;

  constructor(maxBytes = initialMaxTableBytes) {
    this.#names = Array.from({ length: initialSlots }, () => '');
    this.#values = Array.from({ length: initialSlots }, () => '');
    this.#notes = Array.from({ length: initialSlots }, () => undefined);
    this.#mask = initialSlots - 1;
    this.#insertedCount = 0;
    this.#entryCount = 0;
    this.#bytes = 0;
    this.#maxBytes = maxBytes;
  }

  /** Entries ever added: the number that the next one gets. */
  get insertedCount(): number {
    return this.#insertedCount;
  }
  /** Entries that are in the table. */
  get entryCount(): number {
    return this.#entryCount;
  }
  /** Their size (RFC 7541 §4.1). */
  get bytes(): number {
    return this.#bytes;
  }
  /** What {@link bytes} never passes. */
  get maxBytes(): number {
    return this.#maxBytes;
  }

  /** The slot of the entry so many places back, 1 for the newest one; -1 when there is none. */
  slotOf(distance: number): number {
    if (distance < 1 || distance > this.#entryCount) return -1;
    return (this.#insertedCount - distance) & this.#mask;
  }
  /** The slot of the entry that will be dropped first; -1 in an empty table. */
  get oldestSlot(): number {
    return this.slotOf(this.#entryCount);
  }
  nameAt(slot: number): string {
    return this.#names[slot] ?? '';
  }
  valueAt(slot: number): string {
    return this.#values[slot] ?? '';
  }
  noteAt(slot: number): Note | undefined {
    return this.#notes[slot];
  }

  /** Whether an entry of that size can be added without dropping another one. */
  hasRoom(entryBytes: number): boolean {
    return this.#bytes + entryBytes <= this.#maxBytes;
  }

  /** Changes the maximum, dropping the oldest entries until the rest fits (RFC 7541 §4.3). */
  setMaxBytes(maxBytes: number): void {
    this.#maxBytes = maxBytes;
    while (this.#bytes > maxBytes) this.dropOldest();
  }

  /**
   * Adds an entry, dropping the oldest ones until it fits. One that is larger than the whole table leaves it empty and is not
   * added, which is no error (RFC 7541 §4.4).
   */
  add(name: string, value: string, note: Note | undefined): void {
    const entryBytes = name.length + value.length + entryOverheadBytes;
    while (this.#entryCount > 0 && !this.hasRoom(entryBytes)) this.dropOldest();
    if (entryBytes > this.#maxBytes) return;
    if (this.#entryCount > this.#mask) this.#grow();
    const slot = this.#insertedCount & this.#mask;
    this.#names[slot] = name;
    this.#values[slot] = value;
    this.#notes[slot] = note;
    this.#insertedCount++;
    this.#entryCount++;
    this.#bytes += entryBytes;
  }

  /** Drops the oldest entry; nothing happens in an empty table. */
  dropOldest(): void {
    const slot = this.oldestSlot;
    if (slot < 0) return;
    this.#bytes -= this.nameAt(slot).length + this.valueAt(slot).length + entryOverheadBytes;
    this.#entryCount--;
    this.#names[slot] = '';
    this.#values[slot] = '';
    this.#notes[slot] = undefined;
  }

  // The slot of an entry is its number modulo the slots, so all entries move.
  #grow(): void {
    const slotCount = (this.#mask + 1) * 2;
    const names = Array.from({ length: slotCount }, () => '');
    const values = Array.from({ length: slotCount }, () => '');
    const notes = Array.from({ length: slotCount }, (): Note | undefined => undefined);
    for (let distance = 1; distance <= this.#entryCount; distance++) {
      const from = this.slotOf(distance);
      const to = (this.#insertedCount - distance) & (slotCount - 1);
      names[to] = this.nameAt(from);
      values[to] = this.valueAt(from);
      notes[to] = this.noteAt(from);
    }
    this.#names = names;
    this.#values = values;
    this.#notes = notes;
    this.#mask = slotCount - 1;
  }
}
