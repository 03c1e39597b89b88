// A promise that others settle: what `Promise.withResolvers` gives, for the language level that this repository compiles for.

/** A promise and the two ways to settle it. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
}

/** A promise that has not been settled. */
export function deferred<T>(): Deferred<T> {
  let settle: Omit<Deferred<T>, 'promise'> | undefined;
  const promise = new Promise<T>((resolve, reject) => {
    settle = { resolve, reject };
  });
  // The executor above has run by now; the language cannot tell.
  if (settle === undefined) throw new Error('a promise that did not run its executor');
  return { promise, ...settle };
}
