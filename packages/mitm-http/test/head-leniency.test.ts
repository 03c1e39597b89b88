import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { headLeniencies, looseHeadEnd, repairedHead } from '../src/head-leniency.ts';
import type { HeadLeniency } from '../src/head-leniency.ts';
import { findHeadEnd, parseResponseHead } from '../src/head.ts';
import { bytesOf, codeOf, splits, wire } from './wire-text.ts';

function repaired(text: string, ...leniencies: readonly HeadLeniency[]): string {
  const bytes = bytesOf(text);
  return repairedHead(bytes, 0, bytes.length, leniencies).toString('latin1');
}

function lenientText(text: string, leniencies: readonly HeadLeniency[]): string {
  const bytes = bytesOf(text);
  const end = findHeadEnd(bytes, 0, leniencies);
  return parseResponseHead(bytes, 0, end < 0 ? bytes.length : end, leniencies).text;
}

const ok = 'HTTP/1.1 200 OK';

describe('each fault is overlooked by its own name and by no other', () => {
  test.each([
    ['bare_lf', 'a line ends in LF alone', `${ok}\nX: y\r\n\r\n`, wire(ok, 'X: y'), 'bare_line_feed'],
    ['bare_lf', 'all lines do', `${ok}\nX: y\n\n`, wire(ok, 'X: y'), 'incomplete_head'],
    ['bare_lf', 'only the empty line does', `${ok}\r\nX: y\r\n\n`, wire(ok, 'X: y'), 'incomplete_head'],
    ['obs_fold', 'a value goes on', wire(ok, 'X: y', ' z'), wire(ok, 'X: y z'), 'obsolete_line_folding'],
    [
      'obs_fold',
      'spaces around a fold are one',
      wire(ok, 'X: y \t', '\t  z  ', ' ', ' q', 'Y: 1'),
      wire(ok, 'X: y z q', 'Y: 1'),
      'obsolete_line_folding',
    ],
    ['obs_fold', 'a value begins late', wire(ok, 'X:', ' y'), wire(ok, 'X: y'), 'obsolete_line_folding'],
    ['space_before_colon', 'a space', wire(ok, 'X : y'), wire(ok, 'X: y'), 'invalid_header_name'],
    ['space_before_colon', 'a tab', wire(ok, 'X\t :y'), wire(ok, 'X:y'), 'invalid_header_name'],
  ] as const)('%s: %s', (leniency, _what, received, text, code) => {
    expect(lenientText(received, [leniency])).toBe(text);
    expect(lenientText(received, headLeniencies)).toBe(text);
    const others = headLeniencies.filter((other) => other !== leniency);
    expect(codeOf(() => lenientText(received, []))).toBe(code);
    expect(codeOf(() => lenientText(received, others))).toBe(code);
  });
});

describe('what stays refused with every leniency', () => {
  test.each([
    ['a fold behind the status line', wire(ok, ' X: y'), 'obsolete_line_folding'],
    ['a folded name', wire(ok, 'X', ' : y'), 'invalid_header_name'],
    ['a fold behind a line that is none', wire(ok, ' X: y', ' z'), 'obsolete_line_folding'],
    ['a bare CR', wire(ok, 'X: y\rz'), 'bare_carriage_return'],
    ['a bare CR before a line end', wire(ok, 'X: y\r'), 'bare_carriage_return'],
    ['a space inside a name', wire(ok, 'A B : c'), 'invalid_header_name'],
    ['no name', wire(ok, ' : c'), 'invalid_header_name'],
    ['no colon', wire(ok, 'X'), 'invalid_header_name'],
    ['NUL', wire(ok, 'X: \0'), 'invalid_header_value'],
    ['a length of two parts', wire(ok, 'Content-Length: 1', ' 2'), 'invalid_content_length'],
    ['two lengths', wire(ok, 'Content-Length : 1', 'Content-Length: 2'), 'conflicting_content_length'],
    ['a fault of the status line', wire('HTTP/1.1  200 OK', 'X: y'), 'invalid_status_line'],
    ['a colon in the status line', wire('HTTP/1.1 :200', 'X: y'), 'invalid_status_line'],
    ['a head without end', `${ok}\r\nX: y\r\n`, 'incomplete_head'],
  ])('%s', (_what, received, code) => {
    expect(codeOf(() => lenientText(received, headLeniencies))).toBe(code);
  });
});

test('framing is read after the repair, so that both ends see one length', () => {
  const bytes = bytesOf(`${ok}\nContent-Length :\n 8\n\n`);
  const head = parseResponseHead(bytes, 0, bytes.length, headLeniencies);
  expect(head.contentLength).toBe(8);
  expect(head.text).toBe(wire(ok, 'Content-Length: 8'));
});

test('an empty reason needs no leniency, with or without its space', () => {
  expect(lenientText(wire('HTTP/1.1 200', 'X: y'), [])).toBe(wire('HTTP/1.1 200', 'X: y'));
  expect(lenientText(wire('HTTP/1.1 200 ', 'X: y'), [])).toBe(wire('HTTP/1.1 200 ', 'X: y'));
});

test('a repair changes nothing outside its part of the bytes', () => {
  const bytes = bytesOf(`\n\n${ok}\n\n\n\n`);
  expect(repairedHead(bytes, 2, bytes.length - 2, ['bare_lf']).toString('latin1')).toBe(wire(ok));
});

const piece = fc.constantFrom(
  'X: y',
  'X : y',
  ' z',
  '\t',
  ' ',
  ':',
  'a',
  '\r\n',
  '\r\n',
  '\n',
  '\r',
  ok,
  '\0',
);
const anyLeniencies = fc.subarray([...headLeniencies]);
const strictLine = fc.constantFrom('X: y', 'X:', 'X:  y \t', 'Y-Z:\té', 'Set-Cookie: a=b; c : d');

test('law: a strict head is the same head with any leniency', () => {
  fc.assert(
    fc.property(fc.array(strictLine), anyLeniencies, (lines, leniencies) => {
      const text = wire(ok, ...lines);
      expect(repaired(text, ...leniencies)).toBe(text);
      expect(findHeadEnd(bytesOf(text), 0, leniencies)).toBe(text.length);
    }),
  );
});

test('law: whatever is accepted reads back strictly as the same head', () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 16 }), anyLeniencies, (pieces, leniencies) => {
      const received = `${ok}\r\n${pieces.join('')}\r\n\r\n`;
      let text: string | undefined;
      if (codeOf(() => (text = lenientText(received, leniencies))) !== 'accepted' || text === undefined)
        return;
      expect(findHeadEnd(bytesOf(text), 0)).toBe(text.length);
      expect(lenientText(text, [])).toBe(text);
    }),
    { numRuns: 2000 },
  );
});

test('law: the end of a head is found at the same place however it arrives', () => {
  const bytes = fc.array(piece, { maxLength: 16 }).map((pieces) => bytesOf(pieces.join('')));
  const cut = bytes.chain((all) => splits(all).map((pieces) => ({ all, pieces })));
  fc.assert(
    fc.property(cut, ({ all, pieces }) => {
      let seen = Buffer.alloc(0);
      let end = -1;
      for (const next of pieces) {
        seen = Buffer.concat([seen, next]);
        if (end < 0) end = looseHeadEnd(seen, 0);
      }
      expect(end).toBe(looseHeadEnd(all, 0));
    }),
  );
});

test.each([
  ['spaces', `X: y${' '.repeat(60_000)}\r\n z`],
  ['folds', `X: y${'\r\n z'.repeat(16_000)}`],
  ['spaces before a colon', `X${' '.repeat(60_000)}: y`],
  ['line feeds', `${'X: y\n'.repeat(12_000)}X: y`],
])('a head full of %s takes no more than linear time', (_what, fields) => {
  const received = bytesOf(`${ok}\r\n${fields}\r\n\r\n`);
  const began = performance.now();
  expect(parseResponseHead(received, 0, received.length, headLeniencies).status).toBe(200);
  expect(performance.now() - began).toBeLessThan(1000);
});
