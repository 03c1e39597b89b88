// Each golden case has the outcome that its file says, in every way to cut its bytes in two, byte by byte, and in random pieces.
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { describe, expect, test } from 'vitest';

import { everySplit } from '../../../testing/lab/split.ts';
import { escaped, goldenSides, outcomeOf, parseGoldenCase } from './golden-case.ts';
import type { GoldenSide } from './golden-case.ts';

const folder = fileURLToPath(new URL('../../../testing/conformance/golden/', import.meta.url));

/** Every place to cut in two up to this length; longer inputs are cut at evenly spread places. */
const maxFullySplitBytes = 800;

function filesOf(side: GoldenSide): readonly string[] {
  return readdirSync(`${folder}${side}`).toSorted();
}

function expectGolden(side: GoldenSide, text: string): void {
  const golden = parseGoldenCase(text);
  expect(outcomeOf(side, [golden.bytes], golden)).toBe(golden.expected);
  const maxSplits = golden.bytes.length > maxFullySplitBytes ? 100 : 2 * maxFullySplitBytes;
  everySplit(golden.bytes, (pieces) => outcomeOf(side, pieces, golden), { maxSplits });
}

describe.each(goldenSides)('golden %ss', (side) => {
  test.each(filesOf(side))('%s', (file) => {
    expect(file).toMatch(/^[a-z\d]+(?:-[a-z\d]+)*\.txt$/);
    expectGolden(side, readFileSync(`${folder}${side}/${file}`, 'utf8'));
  });

  test('no two cases have the same bytes and settings', () => {
    const inputs = filesOf(side).map((file) => {
      const {
        expected: _,
        bytes,
        ...settings
      } = parseGoldenCase(readFileSync(`${folder}${side}/${file}`, 'utf8'));
      return JSON.stringify({ bytes: bytes.toString('latin1'), settings });
    });
    expect(new Set(inputs).size).toBe(inputs.length);
  });
});

describe('a wrong case is found', () => {
  const head = String.raw`# A planted case.
POST / HTTP/1.1\r\n
Host: a\r\n
Content-Length: +1\r\n
\r\n
b
----------
`;

  test.each(['accept length 1', '400 conflicting_framing', '502 invalid_content_length'])('%s', (wrong) => {
    expect(() => expectGolden('request', `${head}${wrong}\n`)).toThrow('invalid_content_length');
  });

  test('the right one passes', () => {
    expect(() => expectGolden('request', `${head}400 invalid_content_length\n`)).not.toThrow();
  });

  test.each([
    ['no expectation', 'no rule\n'],
    ['no comment', 'GET\n----------\n400 x\n'],
    ['an unknown escape', '# rule\nGET \\q\n----------\n400 x\n'],
    ['an unknown setting', '# rule\n# @speed 3\nGET\n----------\n400 x\n'],
    ['an unknown leniency', '# rule\n# @leniency all\nGET\n----------\n400 x\n'],
    ['a character that is no byte', '# rule\nGET \u2028\n----------\n400 x\n'],
  ])('a file with %s is no case', (_what, text) => {
    expect(() => parseGoldenCase(text)).toThrow(Error);
  });
});

test('every byte has a written form that reads back', () => {
  const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)).toString('latin1');
  const written = escaped(all);
  expect(written).toMatch(/^[ -~]+$/);
  const read = parseGoldenCase(`# Every byte.\n${written}\n----------\n400 x\n`).bytes;
  expect(read.toString('latin1')).toBe(all);
});

test('a repeated part is written once', () => {
  const { bytes } = parseGoldenCase('# A run.\n\\{ab\\r*3}c\n----------\n400 x\n');
  expect(bytes.toString('latin1')).toBe('ab\rab\rab\rc');
});
