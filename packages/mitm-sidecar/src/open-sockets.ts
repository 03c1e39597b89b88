// Every socket that a proxy has open, whoever uses it and for what, so that a shutdown can end when the last of them is gone.
import type { Duplex } from 'node:stream';

export class OpenSockets {
  readonly #sockets: Set<Duplex>;
  #emptied: (() => void) | undefined;
  #isOver: boolean;

  constructor() {
    this.#sockets = new Set();
    this.#emptied = undefined;
    this.#isOver = false;
  }

  get size(): number {
    return this.#sockets.size;
  }

  /** Counts a socket until it is closed. After `destroyAll` it is destroyed at once. */
  add(socket: Duplex): void {
    if (socket.closed) return;
    this.#sockets.add(socket);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      if (this.#sockets.size === 0) this.#emptied?.();
    });
    if (this.#isOver) socket.destroy(stopped());
  }

  /** Resolves when no socket is open; at the latest after so long, with those that are left destroyed. */
  async closed(withinMs: number): Promise<void> {
    if (this.#sockets.size === 0) return;
    const emptied = new Promise<void>((resolve) => {
      this.#emptied = resolve;
    });
    const timer = setTimeout(() => this.destroyAll(), withinMs);
    await emptied;
    clearTimeout(timer);
  }

  /** Destroys what is open, and whatever is still to come. Whoever waits for a connection hears of it. */
  destroyAll(): void {
    this.#isOver = true;
    for (const socket of this.#sockets) socket.destroy(stopped());
  }
}

function stopped(): Error {
  return Object.assign(new Error('the proxy has stopped'), { code: 'ECONNABORTED' });
}
