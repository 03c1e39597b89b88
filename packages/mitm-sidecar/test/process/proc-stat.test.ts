// The small texts of /proc, as recorded on Linux 6.18.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import {
  newestFirst,
  parseFibTrie,
  parseIfInet6,
  parseLastPid,
  parseProcStat,
} from '../../src/process/proc-stat.ts';

const tail =
  'S 17357 17357 16787 0 -1 4194304 99 0 0 0 0 0 0 0 20 0 1 0 1638932 3133440 390 18446744073709551615';

describe('PA-17 the state of a process', () => {
  test.each([
    ['a plain name', 'cat'],
    ['spaces', 'Web Content'],
    ['a closing parenthesis and a space', 'a) b'],
    ['parentheses that look like fields', '(x) S 1 2'],
    ['nothing', ''],
    ['a line break', 'a\nb'],
  ])('with a name of %s', (_, comm) => {
    expect(parseProcStat(`17370 (${comm}) ${tail}\n`)).toEqual({
      comm,
      parentPid: 17_357,
      startTime: '1638932',
    });
  });

  test.each([
    ['empty', ''],
    ['cut off before the start time', '1 (init) S 0 1 1'],
    ['without a name', `1 ${tail}`],
    ['with words for numbers', `1 (x) ${tail.replaceAll(/\d+/g, 'n')}`],
  ])('%s is refused', (_, text) => {
    expect(parseProcStat(text)).toBeUndefined();
  });

  test('any text is either read or refused', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const stat = parseProcStat(text);
        expect(stat === undefined || /^\d+$/.test(stat.startTime)).toBe(true);
      }),
    );
  });
});

describe('the pid given out last', () => {
  test.each([
    ['recorded', '0.86 1.15 1.06 2/126 17370\n', 17_370],
    ['of another form', 'nonsense', 0],
  ])('%s', (_, text, pid) => {
    expect(parseLastPid(text)).toBe(pid);
  });
});

describe('pids, youngest first', () => {
  test('other names are left out', () => {
    expect(newestFirst(['self', '1', 'net', '20', '3', 'sys', '0x1'], 20)).toEqual([20, 3, 1]);
  });

  test('after the numbers started anew, the highest ones are the oldest', () => {
    expect(newestFirst(['1', '32000', '400', '32700', '300'], 400)).toEqual([400, 300, 1, 32_700, 32_000]);
  });
});

test('addresses of a namespace: hosts of the IPv4 table, without networks and broadcasts', () => {
  const text = `Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 127.0.0.0/8 2 0 2
        +-- 127.0.0.0/31 1 0 0
           |-- 127.0.0.0
              /8 host LOCAL
           |-- 127.0.0.1
              /32 host LOCAL
        |-- 127.255.255.255
           /32 link BROADCAST
     +-- 192.0.2.0/24 2 0 2
        +-- 192.0.2.0/30 2 0 2
           |-- 192.0.2.0
              /24 link UNICAST
           |-- 192.0.2.2
              /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
`;
  expect([...parseFibTrie(text)]).toEqual(['127.0.0.1', '192.0.2.2']);
  expect(parseFibTrie('').size).toBe(0);
});

test('addresses of a namespace: the IPv6 table', () => {
  const text = `00000000000000000000000000000001 01 80 10 80       lo
fe8000000000000000fc00fffe000001 04 40 20 80     eth0
`;
  expect([...parseIfInet6(text)]).toEqual([
    '0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1',
    '254.128.0.0.0.0.0.0.0.252.0.255.254.0.0.1',
  ]);
  expect(parseIfInet6('garbage\n').size).toBe(0);
});
