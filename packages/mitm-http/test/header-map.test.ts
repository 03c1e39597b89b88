import { expect, test } from 'vitest';

import { HeaderMap } from '../src/header-map.ts';

const list = ['Set-Cookie', 'a=1', 'X-Name', 'v', 'set-cookie', 'b=2'];

test('lookup ignores case, finds the first, and counts duplicates', () => {
  const headers = new HeaderMap(list);
  expect(headers.size).toBe(3);
  expect(headers.get('SET-COOKIE')).toBe('a=1');
  expect(headers.getAll('set-Cookie')).toEqual(['a=1', 'b=2']);
  expect(headers.has('x-name')).toBe(true);
});

test('what is not there is undefined, empty and false', () => {
  const headers = new HeaderMap(list);
  expect(headers.get('cookie')).toBeUndefined();
  expect(headers.getAll('cookie')).toEqual([]);
  expect(headers.has('cookie')).toBe(false);
});

test('iteration and JSON keep wire order, case and duplicates', () => {
  const pairs = [
    ['Set-Cookie', 'a=1'],
    ['X-Name', 'v'],
    ['set-cookie', 'b=2'],
  ];
  const headers = new HeaderMap(list);
  expect([...headers]).toEqual(pairs);
  expect([...headers.entries()]).toEqual(pairs);
  expect(JSON.parse(JSON.stringify(headers))).toEqual(pairs);
  expect(headers.list).toBe(list);
});

test('a map without some names has all else, and asks for no name before one is looked at', () => {
  const asked: string[] = [];
  const rest = new HeaderMap(list).without((name) => {
    asked.push(name);
    return name === 'set-cookie';
  });
  expect(asked).toEqual([]);
  expect(rest.get('X-Name')).toBe('v');
  expect(rest.has('Set-Cookie')).toBe(false);
  expect([...rest]).toEqual([['X-Name', 'v']]);
  expect(rest.size).toBe(1);
  expect(asked).toEqual(['set-cookie', 'x-name', 'set-cookie']);
  expect(rest.without((name) => name === 'x-name').list).toEqual([]);
});

test('a map is made of pairs, of another map, and of an object whose arrays are several fields', () => {
  const headers = HeaderMap.from({ A: 'x', B: ['y', 'z'], C: [] });
  expect(headers.list).toEqual(['A', 'x', 'B', 'y', 'B', 'z']);
  expect(HeaderMap.from(headers).list).toEqual(headers.list);
  expect(HeaderMap.from([['A', 'x']]).list).toEqual(['A', 'x']);
});

test('a name that every object has is no header', () => {
  expect(HeaderMap.from({}).has('constructor')).toBe(false);
});

test('a list with a value missing is refused', () => {
  expect(() => new HeaderMap(['a'])).toThrow('a header list has pairs of name and value, not 1 strings');
});
