// A promise that somebody else fulfils: for a peer that waits until a test lets it go on.

/** Opens once; whoever waits, before or after, gets what it was opened with. */
export class Gate<T = void> {
  #open: (value: T) => void = () => {};
  readonly opened: Promise<T> = new Promise((resolve) => {
    this.#open = resolve;
  });

  open(value: T): void {
    this.#open(value);
  }
}
