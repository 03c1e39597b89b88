// What a platform has to offer for process attribution. One source per operating system; tests and add-ons bring their own.
import type { Duplex } from 'node:stream';

import type { ProcessInfo, SocketFamily } from 'mitm-core';

/** A client that came over TCP. */
export type TcpFamily = Exclude<SocketFamily, { readonly kind: 'unix_domain' }>;

/** The process that holds the client's end of a connection. */
interface SocketOwner {
  readonly kind: 'owner';
  readonly pid: number;
  /** Differs between two processes that had the same pid, e.g. the start time. Only ever compared for equality. */
  readonly startToken: string;
  /** Reads the details. They may be partial when the process has ended in between. */
  describe(): Promise<ProcessInfo>;
}

/**
 * What a source knows about a connection. `not_found`: nobody holds the client's end (any more). `not_permitted`: the system
 * hides the owner from this user. `remote`: the client is on another machine.
 */
export type Sighting =
  | SocketOwner
  | { readonly kind: 'not_found' }
  | { readonly kind: 'not_permitted' }
  | { readonly kind: 'remote' };

/** Finds the owners of client sockets. Must not block the event loop for more than a few milliseconds at a time. */
export interface ProcessSource {
  /**
   * @param signal aborted when nobody wants the answer any more; the source then stops what it does for it and may reject
   * @throws when the system could not be asked
   */
  find(family: TcpFamily, signal: AbortSignal): Promise<Sighting>;
  /**
   * The process that connected to a Unix socket; `undefined` where the system does not tell. Absent where it never does.
   * @throws when the system could not be asked
   */
  findPeer?(stream: Duplex): Promise<Sighting | undefined>;
  /** Gives back what it holds of the system. Later questions may fail. */
  close?(): void;
}
