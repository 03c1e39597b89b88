// Makes every `await` of a call in the sources of the proxy a place where a test can let things fail: a plugin for the test runner that
// puts a call in front of what is awaited. Without anybody who listens, it does nothing. A promise that is there already is left alone: it
// fails where the call that made it does.
import { parseAst } from 'vitest/node';

/** The function that is called before each `await`, where there is one; what it throws is what the call that is awaited throws. */
export const seamHook = '__atAwait';

/** Called with the name of the `await` that is about to happen. */
export type SeamListener = (seam: string) => void;

const sources = /\/packages\/(?<source>(?:mitm-[a-z]+|soth-mitm)\/src\/.+\.ts)$/;
const longestText = 90;

const callTypes: ReadonlySet<unknown> = new Set(['CallExpression', 'ChainExpression', 'ImportExpression']);

interface Await {
  /** Where what is awaited begins and ends. */
  readonly start: number;
  readonly end: number;
}

/** The part of the test runner's plugins that this one is. */
export interface SourcePlugin {
  readonly name: string;
  readonly enforce: 'pre';
  readonly transform: (code: string, id: string) => { readonly code: string; readonly map: null } | undefined;
}

export function awaitSeams(): SourcePlugin {
  return {
    name: 'await-seams',
    enforce: 'pre',
    transform: (code, id) => {
      const source = sources.exec(id.split('?', 1)[0] ?? '')?.groups?.['source'];
      return source === undefined ? undefined : { code: withSeams(code, source), map: null };
    },
  };
}

/** The same code, with a call in front of all that is awaited. No line moves. */
export function withSeams(code: string, source: string): string {
  const insertions: { readonly at: number; readonly text: string }[] = [];
  const counts = new Map<string, number>();
  for (const { start, end } of awaitsIn(parseAst(code, { lang: 'ts' }))) {
    const text = code.slice(start, end).replaceAll(/\s+/g, ' ').slice(0, longestText);
    const count = (counts.get(text) ?? 0) + 1;
    counts.set(text, count);
    const name = `${source}: await ${text}${count === 1 ? '' : ` (${count})`}`;
    insertions.push({ at: start, text: `(globalThis.${seamHook}?.(${JSON.stringify(name)}), ` });
    insertions.push({ at: end, text: ')' });
  }
  // From the back, so that places stay true; of two at one place, the one that was found first is outside.
  let changed = code;
  for (const { at, text } of insertions.toSorted((a, b) => b.at - a.at))
    changed = changed.slice(0, at) + text + changed.slice(at);
  return changed;
}

function* awaitsIn(value: unknown): Generator<Await> {
  if (Array.isArray(value)) {
    for (const element of value) yield* awaitsIn(element);
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  if ('type' in value && value.type === 'AwaitExpression' && 'argument' in value) {
    const { argument } = value;
    if (isSpan(argument) && callTypes.has(argument.type)) yield { start: argument.start, end: argument.end };
  }
  for (const child of Object.values(value)) if (typeof child === 'object') yield* awaitsIn(child);
}

function isSpan(value: unknown): value is Await & { readonly type: unknown } {
  return (
    typeof value === 'object' &&
    value !== null &&
    'type' in value &&
    'start' in value &&
    'end' in value &&
    typeof value.start === 'number' &&
    typeof value.end === 'number'
  );
}
