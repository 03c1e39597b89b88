// The end of a connection that we close first: what the peer still sends is read and thrown away for a while, since a
// reset because of unread bytes could take our last answer from it (RFC 9112 §9.6).
import type { Wire, WireReader } from './wire.ts';

/** How long a closing connection still reads. */
const LINGER_MS = 2_000;

/** Reads a wire empty whose sending side has been ended, until the peer ends it too, or time is up. */
export function linger(wire: Wire, lingerMs: number = LINGER_MS): void {
  if (wire.isClosed) wire.destroy();
  else wire.attach(new Drain(wire, lingerMs));
}

class Drain implements WireReader {
  readonly #wire: Wire;
  readonly #timer: NodeJS.Timeout;

  constructor(wire: Wire, lingerMs: number) {
    this.#wire = wire;
    this.#timer = setTimeout(() => wire.destroy(), lingerMs);
    this.#timer.unref();
  }

  onData(): void {
    // Thrown away.
  }

  onEnd(): void {
    // Our own end may still be on its way; the stream closes by itself when both are through.
  }

  onClose(): void {
    clearTimeout(this.#timer);
    this.#wire.detach();
  }

  onDrain(): void {
    // Nothing more is written.
  }

  onQuiet(): void {
    // The linger time is the limit.
  }
}
