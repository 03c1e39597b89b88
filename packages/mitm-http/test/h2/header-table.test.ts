import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { entryOverheadBytes, HeaderTable } from '../../src/h2/header-table.ts';

function contents(table: HeaderTable<string>): string[] {
  const list: string[] = [];
  for (let distance = 1; distance <= table.entryCount; distance++) {
    const slot = table.slotOf(distance);
    list.push(`${table.nameAt(slot)}: ${table.valueAt(slot)} (${table.noteAt(slot) ?? ''})`);
  }
  return list;
}

describe('HeaderTable', () => {
  test('the newest entry is at distance 1', () => {
    const table = new HeaderTable<string>();
    table.add('a', '1', 'first');
    table.add('b', '2', undefined);
    expect(contents(table)).toEqual(['b: 2 ()', 'a: 1 (first)']);
    expect({ bytes: table.bytes, insertedCount: table.insertedCount }).toEqual({
      bytes: 68,
      insertedCount: 2,
    });
  });

  test.each([0, -1, 2])('there is no slot at distance %i of a table with one entry', (distance) => {
    const table = new HeaderTable<string>();
    table.add('a', '1', undefined);
    expect(table.slotOf(distance)).toBe(-1);
  });

  test('the oldest slot is the one that goes next', () => {
    const table = new HeaderTable<string>();
    expect(table.oldestSlot).toBe(-1);
    table.add('a', '1', undefined);
    table.add('b', '2', undefined);
    expect(table.nameAt(table.oldestSlot)).toBe('a');
    table.dropOldest();
    expect(contents(table)).toEqual(['b: 2 ()']);
  });

  test('dropping from an empty table does nothing', () => {
    const table = new HeaderTable<string>();
    table.dropOldest();
    expect({ bytes: table.bytes, entryCount: table.entryCount }).toEqual({ bytes: 0, entryCount: 0 });
  });

  test('a table that is exactly full drops nothing; one byte more drops the oldest', () => {
    const table = new HeaderTable<string>(2 * (entryOverheadBytes + 2));
    table.add('a', '1', undefined);
    table.add('b', '2', undefined);
    expect(table.entryCount).toBe(2);
    expect(table.hasRoom(1)).toBe(false);
    table.setMaxBytes(table.bytes);
    expect(table.entryCount).toBe(2);
    table.setMaxBytes(table.bytes - 1);
    expect(contents(table)).toEqual(['b: 2 ()']);
  });

  test('an entry that is exactly as large as the table is its only one', () => {
    const table = new HeaderTable<string>(entryOverheadBytes + 4);
    table.add('a', '1', undefined);
    table.add('bb', '22', undefined);
    expect(contents(table)).toEqual(['bb: 22 ()']);
  });

  test('an entry larger than the table empties it', () => {
    const table = new HeaderTable<string>(entryOverheadBytes + 4);
    table.add('a', '1', undefined);
    table.add('bb', '222', undefined);
    expect({ entries: contents(table), bytes: table.bytes }).toEqual({ entries: [], bytes: 0 });
  });

  test('a maximum of zero empties the table and keeps it empty', () => {
    const table = new HeaderTable<string>();
    table.add('a', '1', undefined);
    table.setMaxBytes(0);
    table.add('a', '1', undefined);
    expect({ bytes: table.bytes, entryCount: table.entryCount, maxBytes: table.maxBytes }).toEqual({
      bytes: 0,
      entryCount: 0,
      maxBytes: 0,
    });
  });

  test('it behaves as a list that is cut at its end', () => {
    const step = fc.oneof(
      fc.record({ maxBytes: fc.integer({ min: 0, max: 4096 }) }),
      fc.record({ name: fc.string({ maxLength: 30 }), value: fc.string({ maxLength: 80 }) }),
      fc.record({ name: fc.constant('n'), value: fc.constant('') }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const table = new HeaderTable<string>();
        let maxBytes = 4096;
        let model: { text: string; size: number }[] = [];
        for (const change of steps) {
          if ('maxBytes' in change) {
            maxBytes = change.maxBytes;
            table.setMaxBytes(maxBytes);
          } else {
            const { name, value } = change;
            table.add(name, value, name);
            const size = name.length + value.length + entryOverheadBytes;
            model.unshift({ text: `${name}: ${value} (${name})`, size });
          }
          let sum = 0;
          const firstOut = model.findIndex((entry) => (sum += entry.size) > maxBytes);
          if (firstOut >= 0) model = model.slice(0, firstOut);
        }
        expect(contents(table)).toEqual(model.map((entry) => entry.text));
        expect(table.bytes).toBe(model.reduce((total, entry) => total + entry.size, 0));
      }),
    );
  });
});
