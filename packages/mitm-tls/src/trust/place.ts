// A place where a system keeps whom it trusts, described as data: how to ask it about a CA, and the steps that put the CA in or
// take it out. Nothing here runs; see `change.ts`.
import type { Command, CommandResult } from './machine.ts';

/**
 * Where trust can be kept. `system`: for every program and user of the machine. `user`: for this user, on macOS and Windows.
 * `nss`: the databases of Chromium and Firefox in this user's home folder, on Linux and macOS.
 */
export const trustStores = ['system', 'user', 'nss'] as const;
export type TrustStore = (typeof trustStores)[number];

/** The certificate that is to be trusted. */
export interface TrustSubject {
  /** One PEM block, closing line break included. */
  readonly pem: string;
  /** SHA-256 of the DER in lower-case hex. */
  readonly fingerprint: string;
  /** SHA-1 of the DER in lower-case hex: how Windows and macOS name a certificate. */
  readonly thumbprint: string;
}

/** The name under which a CA goes into stores that name their entries: ours, and different for each CA. */
export function entryName({ fingerprint }: TrustSubject): string {
  return `soth-mitm-${fingerprint.slice(0, 16)}`;
}

/** One thing to do. */
export type TrustStep =
  | {
      readonly kind: 'write';
      readonly path: string;
      readonly text: string;
      /** What brings the folder of `path`; without it, the folder is made. */
      readonly folderFrom?: string;
    }
  | { readonly kind: 'delete'; readonly path: string }
  | { readonly kind: 'make_folder'; readonly path: string }
  | {
      readonly kind: 'run';
      readonly command: Command;
      /** What the program says when there was nothing to do, which is no failure. */
      readonly nothingToDo?: RegExp;
    };

/** How to find out whether a CA is trusted in a place. */
export type TrustProbe =
  /** Whether a PEM bundle holds it; a bundle that is missing holds nothing. */
  | { readonly kind: 'bundle'; readonly path: string }
  | {
      readonly kind: 'ask';
      /** A file that the program reads; it is there only while the program runs. */
      readonly about?: { readonly path: string; readonly text: string };
      readonly command: Command;
      /** What the program said: `undefined` where that is neither yes nor no. */
      readonly answer: (result: CommandResult) => boolean | undefined;
    };

export interface TrustPlace {
  readonly store: TrustStore;
  /** For people: the file, folder or store. */
  readonly name: string;
  readonly probe: TrustProbe;
  readonly install: readonly TrustStep[];
  /** What makes up for an `install` that failed half way. */
  readonly undo: readonly TrustStep[];
  readonly remove: readonly TrustStep[];
}
