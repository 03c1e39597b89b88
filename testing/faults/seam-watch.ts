// Sees every `await` that a proxy comes by, and lets one of them fail.
import { type SeamListener, seamHook } from './await-seams.ts';

/** One time that one `await` is come by. */
export interface SeamVisit {
  readonly seam: string;
  /** From 1. */
  readonly occurrence: number;
}

/** What is thrown in place of what was to be awaited. */
export const faultKinds = ['system', 'plain', 'type'] as const;
export type FaultKind = (typeof faultKinds)[number];

function injectedFault(kind: FaultKind): Error {
  switch (kind) {
    case 'system':
      return Object.assign(new Error('read ECONNRESET'), {
        code: 'ECONNRESET',
        errno: -104,
        syscall: 'read',
      });
    case 'plain':
      return new Error('something has failed');
    case 'type':
      return new TypeError('a value that nobody expected');
  }
}

/** Watches as long as it lives. There is one at a time in a process. */
export class SeamWatch implements Disposable {
  readonly #failing: (SeamVisit & { readonly kind: FaultKind }) | undefined;
  readonly #counts = new Map<string, number>();
  #hasFailed = false;
  #isPaused = false;

  /** @param failing what is to fail; nothing when absent */
  constructor(failing?: SeamVisit & { readonly kind: FaultKind }) {
    this.#failing = failing;
    const listener: SeamListener = (seam) => this.#visit(seam);
    Reflect.set(globalThis, seamHook, listener);
  }

  /** How often each `await` was come by. */
  get visits(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  /** Whether what was to fail was come by. */
  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  /** From here on everything goes well, and nothing is counted. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
  }

  [Symbol.dispose](): void {
    Reflect.deleteProperty(globalThis, seamHook);
  }

  #visit(seam: string): void {
    if (this.#isPaused) return;
    const occurrence = (this.#counts.get(seam) ?? 0) + 1;
    this.#counts.set(seam, occurrence);
    const failing = this.#failing;
    if (this.#hasFailed || failing?.seam !== seam || failing.occurrence !== occurrence) return;
    this.#hasFailed = true;
    throw injectedFault(failing.kind);
  }
}
