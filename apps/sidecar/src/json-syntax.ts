// Finds where a text stops being JSON. The platform's parser decides whether a text is JSON; its messages name a place only
// sometimes, and this reader always does.

/** Where something stands in a text, both from 1. */
export interface TextPlace {
  readonly line: number;
  readonly column: number;
}

/** What may come next: a value, the first of a list or object with its end, a key, and so on. */
type Expected = 'value' | 'value-or-end' | 'key' | 'key-or-end' | 'colon' | 'next-or-end' | 'nothing';

const space = /[ \t\n\r]*/y;
const scalar =
  /"(?:[^"\\\p{Cc}]|[\u007F-\u009F]|\\(?:["\\/bfnrt]|u[\dA-Fa-f]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[Ee][+-]?\d+)?|true|false|null/uy;

/** The index of the first character that cannot stand where it does; the text's length when something is missing. */
export function jsonErrorIndex(text: string): number {
  const open: ('[' | '{')[] = [];
  let expected: Expected = 'value';
  let index = 0;
  for (;;) {
    space.lastIndex = index;
    space.test(text);
    index = space.lastIndex;
    if (index >= text.length) return text.length;
    const step = readToken(text, index, expected, open);
    if (step === undefined) return index;
    expected = step.expected;
    index += step.length;
  }
}

function readToken(
  text: string,
  index: number,
  expected: Expected,
  open: ('[' | '{')[],
): { readonly expected: Expected; readonly length: number } | undefined {
  const mark = text.charAt(index);
  const inside = open.at(-1);
  const takesValue = expected === 'value' || expected === 'value-or-end';
  const takesKey = expected === 'key' || expected === 'key-or-end';
  if (takesValue && (mark === '[' || mark === '{')) {
    open.push(mark);
    return { expected: mark === '[' ? 'value-or-end' : 'key-or-end', length: 1 };
  }
  const takesEnd = expected === 'value-or-end' || expected === 'key-or-end' || expected === 'next-or-end';
  if (takesEnd && ((mark === ']' && inside === '[') || (mark === '}' && inside === '{'))) {
    open.pop();
    return { expected: open.length === 0 ? 'nothing' : 'next-or-end', length: 1 };
  }
  if (expected === 'colon' && mark === ':') return { expected: 'value', length: 1 };
  if (expected === 'next-or-end' && mark === ',') {
    return { expected: inside === '[' ? 'value' : 'key', length: 1 };
  }
  if (!takesValue && !(takesKey && mark === '"')) return undefined;
  scalar.lastIndex = index;
  if (!scalar.test(text)) return undefined;
  const next = takesKey ? 'colon' : inside === undefined ? 'nothing' : 'next-or-end';
  return { expected: next, length: scalar.lastIndex - index };
}

/** Line and column of an index. */
export function placeAt(text: string, index: number): TextPlace {
  const before = text.slice(0, index);
  return { line: before.split('\n').length, column: index - before.lastIndexOf('\n') };
}
