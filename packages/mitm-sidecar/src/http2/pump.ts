// Drives one HTTP/2 session over a wire: what arrives goes in, what the session has to say in one turn leaves in one write, and
// the session hears of the time while it has work.
import { h2Code, type H2Session } from 'mitm-http';

import { linger } from '../linger.ts';
import type { Wire, WireReader } from '../wire.ts';

/** Who owns the session, and is told what the session itself can't know. */
export interface PumpOwner {
  /** All streams have been told what arrived together. */
  received(): void;
  /** About a second has passed, while there is work. */
  ticked(): void;
  /** Nothing moved on the connection for so long. */
  quiet(quietMs: number): void;
  /** Code of ours threw while it was told something: a bug. The connection ends. */
  faulted(error: unknown): void;
  /** The peer has ended the connection; the streams will be told. */
  lost(error: Error | undefined): void;
  /** The connection is over; the streams have been told. */
  gone(): void;
}

const TICK_MS = 1_000;

export class SessionPump implements WireReader {
  readonly wire: Wire;
  readonly #session: H2Session;
  readonly #owner: PumpOwner;
  #isFlushScheduled: boolean;
  #isEnding: boolean;
  #isGone: boolean;
  #ticker: NodeJS.Timeout | undefined;
  readonly #flushLater: () => void;

  constructor(wire: Wire, session: H2Session, owner: PumpOwner) {
    this.wire = wire;
    this.#session = session;
    this.#owner = owner;
    this.#isFlushScheduled = false;
    this.#isEnding = false;
    this.#isGone = false;
    this.#ticker = undefined;
    this.#flushLater = () => {
      this.#isFlushScheduled = false;
      this.flush();
    };
  }

  /** Begins: the first frames leave, and the wire is read from now on. */
  start(quietMs: number): void {
    this.#session.start(performance.now());
    this.wire.watchQuiet(quietMs);
    this.wake();
    this.wire.attach(this);
  }

  /** There is work: the session hears of the time again. */
  wake(): void {
    this.#ticker ??= this.#isGone ? undefined : setInterval(() => this.#tick(), TICK_MS).unref();
  }

  /** Writes what there is at the end of this turn, so that all frames of the turn leave together. */
  flushSoon(): void {
    if (this.#isFlushScheduled) return;
    this.#isFlushScheduled = true;
    process.nextTick(this.#flushLater);
  }

  /** Writes what there is. */
  flush(): void {
    const output = this.#session.takeOutput();
    if (output !== undefined) {
      const isReady = this.wire.writeView(output);
      this.#session.releaseOutput();
      if (!isReady) this.#session.setCongested(true);
    }
    if (this.#session.isOver) this.end();
  }

  /** Ends the connection after what was written. */
  end(): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.flush();
    this.#leave();
  }

  onData(chunk: Buffer): void {
    try {
      this.#session.receive(chunk, performance.now());
      this.#owner.received();
    } catch (error) {
      this.#owner.faulted(error);
      this.#session.abort(h2Code.internalError);
      this.end();
    }
  }

  onEnd(): void {
    // HTTP/2 knows no half-open connection: whoever ends it has left.
    this.#lost(this.wire.error);
  }

  onClose(error: Error | undefined): void {
    this.#lost(error);
  }

  onDrain(): void {
    this.#session.setCongested(false);
  }

  onQuiet(quietMs: number): void {
    this.#owner.quiet(quietMs);
  }

  #tick(): void {
    this.#session.tick(performance.now());
    this.#owner.ticked();
    if (this.#session.openCount > 0 || !this.#session.isPeerKnown) return;
    clearInterval(this.#ticker);
    this.#ticker = undefined;
    this.#session.rest();
  }

  #lost(error: Error | undefined): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.#owner.lost(error);
    this.#session.end();
    this.#leave();
  }

  /** What was written leaves, and what still comes is thrown away. */
  #leave(): void {
    this.#isGone = true;
    clearInterval(this.#ticker);
    this.#ticker = undefined;
    this.wire.end();
    linger(this.wire);
    this.#owner.gone();
  }
}
