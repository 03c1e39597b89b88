import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { HpackDecoder } from '../../src/h2/hpack-decoder.ts';
import { HpackEncoder } from '../../src/h2/hpack-encoder.ts';
import type { HeaderList } from '../../src/header-map.ts';

function encoded(encoder: HpackEncoder, fields: HeaderList, sensitiveNames?: ReadonlySet<string>): Buffer {
  const out = Buffer.alloc(encoder.maxEncodedBytes(fields));
  return out.subarray(0, encoder.encode(fields, out, 0, sensitiveNames));
}
function hexOf(encoder: HpackEncoder, fields: HeaderList, sensitiveNames?: ReadonlySet<string>): string {
  return encoded(encoder, fields, sensitiveNames).toString('hex');
}
function decoded(decoder: HpackDecoder, block: Buffer): string[] {
  return decoder.decode(block, 0, block.length, 10_000_000).fields;
}

describe('where our choice is that of RFC 7541 Appendix C', () => {
  test.each([
    ['C.2.1', ['custom-key', 'custom-header'], '400a637573746f6d2d6b65790d637573746f6d2d686561646572', 55],
    ['C.2.2', [':path', '/sample/path'], '040c2f73616d706c652f70617468', 0],
    ['C.2.3', ['password', 'secret'], '100870617373776f726406736563726574', 0],
    ['C.2.4', [':method', 'GET'], '82', 0],
  ])('%s', (_, fields, hex, tableBytes) => {
    const encoder = new HpackEncoder();
    expect(hexOf(encoder, fields, new Set(['password']))).toBe(hex);
    expect(encoder.tableBytes).toBe(tableBytes);
  });

  test('C.3, three requests on one connection', () => {
    const encoder = new HpackEncoder();
    const example = [':authority', 'www.example.com'];
    const get = [':method', 'GET', ':scheme', 'http', ':path', '/', ...example];
    expect(hexOf(encoder, get)).toBe('828684410f7777772e6578616d706c652e636f6d');
    expect(encoder.tableBytes).toBe(57);
    expect(hexOf(encoder, [...get, 'cache-control', 'no-cache'])).toBe('828684be58086e6f2d6361636865');
    expect(encoder.tableBytes).toBe(110);
    const third = [':method', 'GET', ':scheme', 'https', ':path', '/index.html', ...example];
    expect(hexOf(encoder, [...third, 'custom-key', 'custom-value'])).toBe(
      '828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565',
    );
    expect(encoder.tableBytes).toBe(164);
  });
});

describe('which form a field gets', () => {
  test.each([
    ['exactly in the static table', [':status', '404'], '8d'],
    ['with an empty value in the static table', ['accept', ''], '93'],
    ['a static name with another value: inserted', [':status', '418'], '4803343138'],
    ['a new name: inserted', ['a', 'b'], '4001610162'],
    ['an empty value of a new name', ['a', ''], '40016100'],
    ['a path, which hardly repeats', [':path', '/a'], '04022f61'],
    ['a content-length', ['content-length', '7'], '0f0d0137'],
    ['a set-cookie', ['set-cookie', 'a=b'], '0f2803613d62'],
    ['a short cookie, which could be guessed', ['cookie', 'a=b'], '0f1103613d62'],
    ['short credentials', ['authorization', 'Basic eA=='], '0f080a42617369632065413d3d'],
  ])('%s', (_, fields, hex) => {
    expect(hexOf(new HpackEncoder(), fields)).toBe(hex);
  });

  test.each([
    ['cookie', 20],
    ['authorization', 48],
    ['proxy-authorization', 48],
  ])('%s goes into the table from %i bytes on', (name, length) => {
    const encoder = new HpackEncoder();
    hexOf(encoder, [name, 'x'.repeat(length - 1)]);
    expect(encoder.tableBytes).toBe(0);
    hexOf(encoder, [name, 'x'.repeat(length)]);
    expect(hexOf(encoder, [name, 'x'.repeat(length)])).toBe('be');
  });

  test('a field of more than a third of the table stays out', () => {
    const encoder = new HpackEncoder();
    hexOf(encoder, ['a', 'x'.repeat(1333)]);
    expect(encoder.tableBytes).toBe(0);
    hexOf(encoder, ['a', 'x'.repeat(1332)]);
    expect(encoder.tableBytes).toBe(1365);
  });

  test('sensitive fields are never-indexed literals, also when a table has them', () => {
    const encoder = new HpackEncoder();
    const decoder = new HpackDecoder();
    const fields = [':status', '200', 'x-key', 'value', 'set-cookie', 'a=b'];
    decoded(decoder, encoded(encoder, fields));
    const sensitiveNames = new Set([':status', 'x-key', 'set-cookie']);
    const block = encoded(encoder, fields, sensitiveNames);
    expect(block.toString('hex')).toBe('1803323030 1f2f0576616c7565 1f2803613d62'.replaceAll(' ', ''));
    expect(decoder.decode(block, 0, block.length, 1000)).toMatchObject({ fields, sensitiveNames });
  });

  test('a new value of a name from the dynamic table refers to the name', () => {
    const encoder = new HpackEncoder();
    expect(hexOf(encoder, ['a', 'b', 'c', 'd', 'a', 'e'])).toBe(
      '4001610162 4001630164 7f000165'.replaceAll(' ', ''),
    );
  });

  test('each of several values of one name is found', () => {
    const encoder = new HpackEncoder();
    hexOf(encoder, ['a', '1', 'a', '2', 'a', '3']);
    expect(hexOf(encoder, ['a', '1', 'a', '2', 'a', '3'])).toBe('c0bfbe');
  });

  test('a field that always differs is put in only now and then, and again always once it repeats', () => {
    const encoder = new HpackEncoder();
    const forms = Array.from({ length: 24 }, (_, i) => hexOf(encoder, ['server', `id-${i}`]).slice(0, 2));
    expect(forms).toEqual(Array.from(forms, (_, i) => (i < 8 || i % 8 === 0 ? '76' : '0f')));
    expect(hexOf(encoder, ['server', 'id-16'])).toBe('be');
    expect(hexOf(encoder, ['server', 'new']).slice(0, 2)).toBe('76');
  });
});

describe('the size of the table', () => {
  test('a change is told once, before the next field', () => {
    const encoder = new HpackEncoder();
    encoder.setMaxTableBytes(100);
    expect(hexOf(encoder, [':method', 'GET'])).toBe('3f4582');
    expect(hexOf(encoder, [':method', 'GET'])).toBe('82');
  });

  test.each([
    ['what there is', [4096], ''],
    ['more than 4096 is not used', [65_536], ''],
    ['the smallest, then the last', [200, 0, 100], '203f45'],
    ['the last is the smallest', [200, 100], '3f45'],
    ['there and back', [0, 4096], '203fe11f'],
    ['all that a peer can say', [0, 4_294_967_295], '203fe11f'],
  ])('%s', (_, sizes, hex) => {
    const encoder = new HpackEncoder();
    for (const size of sizes) encoder.setMaxTableBytes(size);
    expect(hexOf(encoder, [])).toBe(hex);
  });

  test('a smaller one drops the oldest entries at once', () => {
    const encoder = new HpackEncoder();
    // 34 bytes each.
    hexOf(encoder, ['a', '1', 'b', '2', 'c', '3']);
    encoder.setMaxTableBytes(68);
    expect(encoder.tableBytes).toBe(68);
    encoder.setMaxTableBytes(67);
    expect(encoder.tableBytes).toBe(34);
  });

  test('of zero bytes: everything is literal or static', () => {
    const encoder = new HpackEncoder();
    encoder.setMaxTableBytes(0);
    expect(hexOf(encoder, ['a', 'b', ':method', 'GET'])).toBe('20000161016282');
  });

  test('a name whose last entry goes to make room for the next one is still known', () => {
    const encoder = new HpackEncoder();
    const decoder = new HpackDecoder();
    encoder.setMaxTableBytes(102);
    for (const fields of [
      ['a', '1', 'b', '2', 'c', '3'],
      ['a', '4'],
      ['a', '4', 'b', '5', 'c', '6', 'a', '7', 'a', '4'],
    ]) {
      expect(decoded(decoder, encoded(encoder, fields))).toEqual(fields);
    }
    expect(hexOf(encoder, ['a', '4'])).toBe('be');
  });
});

describe('room', () => {
  test('a block is written where it was told and stays within its bound', () => {
    const encoder = new HpackEncoder();
    encoder.setMaxTableBytes(0);
    encoder.setMaxTableBytes(4095);
    const fields = ['a'.repeat(130), 'b'.repeat(20_000), 'c', 'd'];
    const out = Buffer.alloc(encoder.maxEncodedBytes(fields) + 7);
    const end = encoder.encode(fields, out, 7);
    expect(end).toBeLessThanOrEqual(out.length);
    expect(out.subarray(0, 7)).toEqual(Buffer.alloc(7));
    expect(decoded(new HpackDecoder(), out.subarray(7, end))).toEqual(fields);
  });

  test('characters beyond latin1 lose their upper byte and nothing else', () => {
    const encoder = new HpackEncoder();
    const decoder = new HpackDecoder();
    for (let i = 0; i < 300; i++) {
      const wide = String.fromCharCode(0x100 + (i % 5) + 97).repeat((i % 3) + 1);
      const narrow = String.fromCharCode((i % 5) + 97).repeat((i % 3) + 1);
      const block = encoded(encoder, ['a', wide, wide, wide, 'a', narrow]);
      expect(decoded(decoder, block)).toEqual(['a', narrow, narrow, narrow, 'a', narrow]);
    }
  });
});

describe('what was encoded is decoded', () => {
  const names = fc.constantFrom(
    ':path',
    ':status',
    ':method',
    'cookie',
    'x-id',
    'server',
    'a',
    'b',
    'accept',
    'content-length',
    'x-a-name-of-more-than-a-few-letters',
    'set-cookie',
    'authorization',
  );
  const values = fc.oneof(
    fc.constantFrom(
      'GET',
      '200',
      '/',
      '',
      'v',
      'w',
      'value of more than twenty-four letters',
      'z'.repeat(600),
    ),
    fc.integer({ min: 0, max: 30 }).map((n) => `${n}`.repeat(n)),
    fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
  );
  const list = fc.array(fc.tuple(names, values), { maxLength: 25 }).map((pairs) => pairs.flat());
  const step = fc.record({
    sizes: fc.oneof(
      { weight: 4, arbitrary: fc.constant<number[]>([]) },
      fc.array(fc.constantFrom(0, 34, 100, 300, 1000, 4096, 65_536), { maxLength: 3 }),
    ),
    fields: list,
    sensitive: fc.oneof(
      { weight: 3, arbitrary: fc.constant(undefined) },
      fc.uniqueArray(names, { maxLength: 2 }),
    ),
  });

  test('over any sequence of lists, with changes of the table size between them', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const encoder = new HpackEncoder();
        const decoder = new HpackDecoder();
        for (const { sizes, fields, sensitive } of steps) {
          for (const size of sizes) encoder.setMaxTableBytes(size);
          const sensitiveNames = sensitive === undefined ? undefined : new Set(sensitive);
          const room = encoder.maxEncodedBytes(fields);
          const block = encoded(encoder, fields, sensitiveNames);
          expect(block.length).toBeLessThanOrEqual(room);
          expect(decoded(decoder, block)).toEqual(fields);
          // Both sides count the same bytes: neither holds an entry that the other one has dropped.
          expect(decoder.tableBytes).toBe(encoder.tableBytes);
        }
      }),
      { numRuns: 200 },
    );
  });

  test('over thousands of lists with ever new names and values', () => {
    const encoder = new HpackEncoder();
    const decoder = new HpackDecoder();
    for (let i = 0; i < 3000; i++) {
      const fields = [`x-${i % 97}`, `${i % 13}`, `y-${i}`, 'same', 'server', `${i % 5}`, 'x-0', `${i}`];
      expect(decoded(decoder, encoded(encoder, fields))).toEqual(fields);
    }
    expect(encoder.tableBytes).toBe(decoder.tableBytes);
    expect(encoder.tableBytes).toBeLessThanOrEqual(4096);
  });
});
