// Searches `/proc/net/tcp` and `tcp6` for the client's end of connections. Pure: pieces of text in, rows out; how the text
// is cut into pieces makes no difference.
import { endianness } from 'node:os';

import type { SocketEndpoint } from 'mitm-core';

import { addressBytes, wideBytes } from './address.ts';
import type { TcpFamily } from './source.ts';

/** IPv4 clients are in `tcp`, unless they use an IPv6 socket with a mapped address. */
const socketTables = ['tcp', 'tcp6'] as const;
export type SocketTable = (typeof socketTables)[number];

/** One socket of a table. */
export interface SocketRow {
  /** 0 when no process holds the socket any more. */
  readonly inode: number;
  /** The user who made the socket. */
  readonly uid: number;
}

const NEWLINE = 0x0a;
const COLON = 0x3a;

/**
 * An address as these tables write it: each group of four bytes as one number of the machine's byte order, in upper-case
 * hexadecimal; `undefined` when the table can't hold the address.
 */
export function encodeAddress(
  address: string,
  table: SocketTable,
  byteOrder: 'LE' | 'BE' = endianness(),
): string | undefined {
  const bytes = addressBytes(address);
  if (bytes === undefined || (table === 'tcp' && bytes.length === 16)) return undefined;
  const wide = table === 'tcp' ? bytes : wideBytes(bytes);
  let text = '';
  for (let start = 0; start < wide.length; start += 4) {
    const group = wide.slice(start, start + 4);
    if (byteOrder === 'LE') group.reverse();
    for (const byte of group) text += byte.toString(16).padStart(2, '0');
  }
  return text.toUpperCase();
}

/** An endpoint as these tables write it, e.g. `0100007F:1F90`. */
export function encodeEndpoint(endpoint: SocketEndpoint, table: SocketTable): string | undefined {
  const address = encodeAddress(endpoint.address, table);
  return address === undefined
    ? undefined
    : `${address}:${endpoint.port.toString(16).toUpperCase().padStart(4, '0')}`;
}

/** One pass over one table for any number of connections. */
export class TableSearch {
  readonly #keyLength: number;
  readonly #keys: readonly (string | undefined)[];
  readonly #missing: Set<string>;
  readonly #found: Map<string, SocketRow>;
  #carry: Buffer | undefined;

  constructor(table: SocketTable, families: readonly TcpFamily[]) {
    this.#keyLength = table === 'tcp' ? 27 : 75;
    this.#keys = families.map((family) => clientKey(family, table));
    this.#missing = new Set();
    this.#found = new Map();
    this.#carry = undefined;
    for (const key of this.#keys) if (key !== undefined) this.#missing.add(key);
  }

  /** True when nothing is left to be found, so that the rest of the table need not be read. */
  get isDone(): boolean {
    return this.#missing.size === 0;
  }

  /** Takes the next piece of the table; keeps no reference to it. */
  push(piece: Buffer): void {
    const text = this.#carry === undefined ? piece : Buffer.concat([this.#carry, piece]);
    this.#carry = undefined;
    let start = 0;
    for (let end = text.indexOf(NEWLINE); end >= 0; end = text.indexOf(NEWLINE, start)) {
      this.#readRow(text, start, end);
      start = end + 1;
    }
    if (start < text.length) this.#carry = Buffer.from(text.subarray(start));
  }

  /** What was found, in the order of the families. */
  rows(): readonly (SocketRow | undefined)[] {
    return this.#keys.map((key) => (key === undefined ? undefined : this.#found.get(key)));
  }

  /** A row is `  12: LOCAL REMOTE STATE QUEUES TIMER RETRANSMITS UID TIMEOUT INODE …`; the heading has no number. */
  #readRow(text: Buffer, start: number, end: number): void {
    const keyStart = text.indexOf(COLON, start) + 2;
    const keyEnd = keyStart + this.#keyLength;
    if (keyStart < 2 || keyEnd >= end) return;
    const key = text.toString('latin1', keyStart, keyEnd);
    if (!this.#missing.has(key)) return;
    const fields = text.toString('latin1', keyEnd, end).trim().split(/ +/);
    const row: SocketRow = { uid: Number(fields[4]), inode: Number(fields[6]) };
    if (!Number.isInteger(row.inode) || !Number.isInteger(row.uid)) return;
    this.#missing.delete(key);
    this.#found.set(key, row);
  }
}

/** The two ends as the client's socket has them: its own first. */
function clientKey(family: TcpFamily, table: SocketTable): string | undefined {
  const near = encodeEndpoint(family.remote, table);
  const far = encodeEndpoint(family.local, table);
  return near === undefined || far === undefined ? undefined : `${near} ${far}`;
}
