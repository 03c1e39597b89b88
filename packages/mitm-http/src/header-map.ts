// A message's fields as they came: wire order, case and duplicates are kept; looking one up ignores case.

/** Fields as a flat list `[name, value, name, value, …]` in wire order and case. */
export type HeaderList = readonly string[];

/** An immutable view of a {@link HeaderList} with lookup by name. The lower-case index is made at the first lookup. */
export class HeaderMap implements Iterable<[string, string]> {
  #list: HeaderList;
  /** Which of the fields are left out; asked when the first one is looked at. */
  #leavesOut: ((lowerName: string) => boolean) | undefined;
  #lowerNames: readonly string[] | undefined;

  /** Takes the list as it is, without a copy. @throws {RangeError} when a value is missing. */
  constructor(list: HeaderList) {
    if (list.length % 2 !== 0) {
      throw new RangeError(`a header list has pairs of name and value, not ${list.length} strings`);
    }
    this.#list = list;
    this.#leavesOut = undefined;
    this.#lowerNames = undefined;
  }

  /** The fields themselves. */
  get list(): HeaderList {
    if (this.#leavesOut !== undefined) this.#leaveOut(this.#leavesOut);
    return this.#list;
  }

  /**
   * The same fields without those of some names. Nothing is done before one of them is looked at, so that a view that nobody reads
   * costs nothing.
   *
   * @param leavesOut whether a name, given in lower case, is left out; always the same answer
   */
  without(leavesOut: (lowerName: string) => boolean): HeaderMap {
    const rest = new HeaderMap(this.list);
    rest.#leavesOut = leavesOut;
    return rest;
  }

  /** Makes a map of pairs, or of an object whose array values become one field each. */
  static from(
    pairs: Iterable<readonly [string, string]> | Readonly<Record<string, string | readonly string[]>>,
  ): HeaderMap {
    const list: string[] = [];
    if (isIterable(pairs)) for (const [name, value] of pairs) list.push(name, value);
    else {
      for (const [name, values] of Object.entries(pairs)) {
        if (typeof values === 'string') list.push(name, values);
        else for (const value of values) list.push(name, value);
      }
    }
    return new HeaderMap(list);
  }

  /** Number of fields, duplicates counted. */
  get size(): number {
    return this.list.length / 2;
  }

  /** The first value of that name, in any case. */
  get(name: string): string | undefined {
    const index = this.#names().indexOf(name.toLowerCase());
    return index < 0 ? undefined : this.list[index * 2 + 1];
  }

  /** All values of that name, in wire order. */
  getAll(name: string): readonly string[] {
    const names = this.#names();
    const wanted = name.toLowerCase();
    const values: string[] = [];
    for (let i = names.indexOf(wanted); i >= 0; i = names.indexOf(wanted, i + 1)) {
      values.push(this.list[i * 2 + 1] ?? '');
    }
    return values;
  }

  /** Whether there is a field of that name, in any case. */
  has(name: string): boolean {
    return this.#names().includes(name.toLowerCase());
  }

  /** Name and value of each field, in wire order and case. */
  *entries(): Generator<[string, string], void, undefined> {
    for (let i = 0; i < this.list.length; i += 2) yield [this.list[i] ?? '', this.list[i + 1] ?? ''];
  }

  [Symbol.iterator](): Generator<[string, string], void, undefined> {
    return this.entries();
  }

  /** `[name, value]` pairs, since an object would lose order and duplicates. */
  toJSON(): [string, string][] {
    return [...this.entries()];
  }

  #leaveOut(leavesOut: (lowerName: string) => boolean): void {
    const kept: string[] = [];
    const list = this.#list;
    for (let i = 0; i + 1 < list.length; i += 2) {
      const name = list[i] ?? '';
      if (!leavesOut(name.toLowerCase())) kept.push(name, list[i + 1] ?? '');
    }
    if (kept.length < list.length) this.#list = kept;
    this.#leavesOut = undefined;
  }

  #names(): readonly string[] {
    if (this.#lowerNames === undefined) {
      const names: string[] = [];
      for (let i = 0; i < this.list.length; i += 2) names.push((this.list[i] ?? '').toLowerCase());
      this.#lowerNames = names;
    }
    return this.#lowerNames;
  }
}

function isIterable(value: object): value is Iterable<readonly [string, string]> {
  return Symbol.iterator in value;
}
