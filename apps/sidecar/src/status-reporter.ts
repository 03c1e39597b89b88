// Writes status records: to standard error, and to a file where one is wanted. A file that cannot be written is said once
// and never stops the program.
import { appendFileSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';

import { type StatusFact, statusPrefix, statusRecord } from './status.ts';

export interface StatusReporterOptions {
  /** Appended to, never emptied; its folders are made. None when undefined. */
  readonly path: string | undefined;
  readonly writeError: (text: string) => void;
  readonly now?: () => number;
}

export class StatusReporter {
  readonly #writeError: (text: string) => void;
  readonly #now: () => number;
  #path: string | undefined;

  constructor({ path, writeError, now = Date.now }: StatusReporterOptions) {
    this.#writeError = writeError;
    this.#now = now;
    this.#path = path;
  }

  /** Writes the record of a fact; when it returns, the record is in the file. */
  report(fact: StatusFact): void {
    const line = `${JSON.stringify(statusRecord(fact, this.#now()))}\n`;
    this.#writeError(`${statusPrefix}${line}`);
    this.#append(line);
  }

  #append(line: string): void {
    if (this.#path === undefined) return;
    try {
      mkdirSync(dirname(this.#path), { recursive: true });
      appendFileSync(this.#path, line);
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      this.#writeError(
        `soth-mitm: the status file ${this.#path} cannot be written (${detail}): choose another with --status-file\n`,
      );
      this.#path = undefined;
    }
  }
}
