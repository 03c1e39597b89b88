// Who wants the program to stop or to reload: the signals of the system, and errors that nobody caught. The first request to
// stop is an orderly one, the second ends the process at once.
import type { EventEmitter } from 'node:events';
import { constants } from 'node:os';

import { deferred } from './deferred.ts';

const stopSignals = ['SIGINT', 'SIGTERM'] as const;
export type StopSignal = (typeof stopSignals)[number];

export type StopRequest =
  | { readonly kind: 'signal'; readonly signal: StopSignal }
  | { readonly kind: 'crash'; readonly error: unknown };

export interface StopRequestsOptions {
  /** Where signals arrive: the process. */
  readonly source: Pick<EventEmitter, 'on' | 'off'>;
  /** Ends the process at once. */
  readonly exitNow: (code: number) => void;
  /** Milliseconds that only go up. */
  readonly nowMs?: () => number;
  readonly platform?: NodeJS.Platform;
}

/** A terminal signals its whole group, and npm passes the signal on to its child: that is one key press, not two. */
const samePressMs = 200;

export class StopRequests {
  /** Resolves with the first request. */
  readonly first: Promise<StopRequest>;
  readonly #options: Required<StopRequestsOptions>;
  readonly #resolve: (request: StopRequest) => void;
  readonly #listeners: readonly (readonly [string, (value: unknown) => void])[];
  #signalled: { readonly signal: StopSignal; readonly atMs: number } | undefined;
  #onReload: (() => void) | undefined;

  constructor(options: StopRequestsOptions) {
    const { promise, resolve } = deferred<StopRequest>();
    this.first = promise;
    this.#resolve = resolve;
    this.#options = { nowMs: () => performance.now(), platform: process.platform, ...options };
    this.#signalled = undefined;
    this.#onReload = undefined;
    this.#listeners = [
      ...stopSignals.map((signal) => [signal, (): void => this.#stop(signal)] as const),
      ['uncaughtException', (error): void => resolve({ kind: 'crash', error })] as const,
      // On Windows this is the console that goes away; the system then ends the process anyway.
      ...(this.#options.platform === 'win32' ? [] : [['SIGHUP', (): void => this.#onReload?.()] as const]),
    ];
    for (const [name, listener] of this.#listeners) this.#options.source.on(name, listener);
  }

  /** Calls back at each SIGHUP; until then it is ignored. */
  onReload(listener: () => void): void {
    this.#onReload = listener;
  }

  /** Gives the signals back to the system. */
  close(): void {
    for (const [name, listener] of this.#listeners) this.#options.source.off(name, listener);
  }

  #stop(signal: StopSignal): void {
    const { nowMs, exitNow } = this.#options;
    const before = this.#signalled;
    this.#signalled ??= { signal, atMs: nowMs() };
    this.#resolve({ kind: 'signal', signal });
    if (before === undefined) return;
    if (before.signal === signal && nowMs() - before.atMs < samePressMs) return;
    exitNow(128 + constants.signals[signal]);
  }
}
