// Errors that reached nobody: rejections that nobody handles, and exceptions that nobody catches.

export class LostErrors implements Disposable {
  readonly found: string[] = [];
  /** What is going on now; each error is found with it. */
  readonly underWay = new Set<string>();
  readonly #note = (error: unknown): void => {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.found.push(`with ${[...this.underWay].join(', ')}: ${text}`);
  };

  constructor() {
    process.on('unhandledRejection', this.#note);
    process.on('uncaughtExceptionMonitor', this.#note);
  }

  [Symbol.dispose](): void {
    process.off('unhandledRejection', this.#note);
    process.off('uncaughtExceptionMonitor', this.#note);
  }
}
