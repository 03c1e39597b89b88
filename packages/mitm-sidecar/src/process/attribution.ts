// Puts the client's process into the facts of its connection: only when somebody will read it, and beside the path.
import type { Duplex } from 'node:stream';

import type { Connection } from 'mitm-core';
import type { Logger } from 'mitm-observe';

import type { LookupResult } from './flight.ts';
import type { ProcessLookup } from './lookup.ts';

export class Attribution {
  readonly #lookup: ProcessLookup;
  readonly #logger: Logger;
  #hasWarned: boolean;

  constructor(lookup: ProcessLookup, logger: Logger) {
    this.#lookup = lookup;
    this.#logger = logger;
    this.#hasWarned = false;
  }

  /** Starts to look for the process; `connection.attributed` settles when it is known, or can't be. */
  begin(connection: Connection, stream: Duplex): void {
    connection.attributed = this.#lookup.lookup(connection.socketFamily, { stream }).then((result) => {
      if (result.kind === 'found') connection.processInfo = result.info;
      else this.#explain(connection, result);
    });
  }

  /** Ends all lookups: whoever waits goes on without. */
  close(): void {
    this.#lookup.close();
  }

  /** What the operator can mend is said aloud, once; the rest is in the metrics and in the debug log. */
  #explain(connection: Connection, result: LookupResult): void {
    const facts = {
      connectionId: connection.id,
      client: connection.clientAddr,
      why: result.kind,
      ...(result.kind === 'failed' ? { err: result.cause } : {}),
    };
    if (result.kind !== 'not_permitted' || this.#hasWarned) {
      this.#logger.debug(facts, 'the client’s process is not known');
      return;
    }
    this.#hasWarned = true;
    this.#logger.warn(
      facts,
      'the client’s process belongs to another user: run the proxy as that user, or with CAP_SYS_PTRACE, to know it',
    );
  }
}
