// Copies bytes both ways between two wires until both have ended, with half-close and back-pressure, and without looking
// at them.
import { Failure, type Flow } from 'mitm-core';
import type { CloseReason } from 'mitm-observe';

import type { Wire, WireReader } from '../wire.ts';

/** Silence is measured in this many steps, so that it is noticed at most a quarter late. */
const QUIET_STEPS = 4;

/**
 * Relays until both directions have ended.
 *
 * @param idleMs silence in both directions that ends the relay
 * @returns `relay_eof`
 * @throws Failure `relay_error` when a stream breaks, `idle_watchdog_timeout` when nothing moves any more
 */
export function relayBytes(flow: Flow, client: Wire, upstream: Wire, idleMs: number): Promise<CloseReason> {
  return new Promise((resolve, reject) => {
    new ByteRelay(flow, client, upstream, { idleMs, resolve, reject }).start();
  });
}

interface ByteRelayOptions {
  readonly idleMs: number;
  readonly resolve: (reason: CloseReason) => void;
  readonly reject: (failure: Failure) => void;
}

class ByteRelay {
  readonly #flow: Flow;
  readonly #client: Wire;
  readonly #upstream: Wire;
  readonly #options: ByteRelayOptions;
  #openDirections: number;
  #quietSteps: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(flow: Flow, client: Wire, upstream: Wire, options: ByteRelayOptions) {
    this.#flow = flow;
    this.#client = client;
    this.#upstream = upstream;
    this.#options = options;
    this.#openDirections = 2;
    this.#quietSteps = 0;
    this.#timer = undefined;
  }

  start(): void {
    this.#timer = setInterval(() => this.#tick(), Math.max(1, this.#options.idleMs / QUIET_STEPS));
    this.#client.attach(this.#direction(this.#client, this.#upstream, true));
    this.#upstream.attach(this.#direction(this.#upstream, this.#client, false));
  }

  #direction(from: Wire, to: Wire, isFromClient: boolean): WireReader {
    return {
      onData: (chunk) => {
        this.#quietSteps = 0;
        if (isFromClient) this.#flow.bytesFromClient += chunk.length;
        else this.#flow.bytesFromServer += chunk.length;
        if (!(from.isVolatile ? to.writeBorrowed(chunk) : to.write(chunk))) from.pause();
      },
      onEnd: () => {
        // What still waits to leave belongs to the direction: whoever is told of its end may close the streams.
        to.end(() => {
          this.#openDirections -= 1;
          if (this.#openDirections === 0) this.#finish();
        });
      },
      onClose: (error) => this.#closed(from, to, error),
      // What drained was written by the other direction, which may read on.
      onDrain: () => {
        this.#quietSteps = 0;
        to.resume();
      },
      onQuiet: () => {
        // One timer for both wires does this.
      },
    };
  }

  #tick(): void {
    this.#quietSteps += 1;
    if (this.#quietSteps < QUIET_STEPS) return;
    const detail = `idle_watchdog_timeout:copy_bidirectional:${this.#options.idleMs}ms`;
    this.#fail(new Failure('idle_watchdog_timeout', { side: 'internal', detail }));
  }

  #closed(from: Wire, to: Wire, error: Error | undefined): void {
    if (this.#timer === undefined) return;
    if (error === undefined && from.isEnded) {
      // This wire is through in both directions, so nobody is left for the other one to talk to.
      to.end(() => this.#finish());
      return;
    }
    const side = from === this.#client ? 'client' : 'upstream';
    const detail = `${side}: ${error?.message ?? 'connection closed'}`;
    this.#fail(new Failure('relay_error', { side, detail }));
  }

  #finish(): void {
    if (this.#timer === undefined) return;
    this.#stop();
    this.#options.resolve('relay_eof');
  }

  #fail(failure: Failure): void {
    if (this.#timer === undefined) return;
    this.#stop();
    this.#client.abort();
    this.#upstream.abort();
    this.#options.reject(failure);
  }

  #stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
