// The trust settings of macOS: the administrator's with the System keychain, or the user's with the login keychain. The program
// reads certificates from files, so a copy of an installed one is kept: it also takes the CA out again after its own files are gone.
import { posix } from 'node:path';

import type { CommandResult } from './machine.ts';
import { entryName, type TrustPlace, type TrustStep, type TrustSubject } from './place.ts';

const security = '/usr/bin/security';
const nothingThere = /could not be found|no trust settings were found|item not found/i;

export interface DarwinPlaceOptions {
  readonly store: 'system' | 'user';
  readonly home: string;
  /** Where the copy is kept. */
  readonly stateFolder: string;
}

/** The place for the administrator's settings (`system`), or for the user's. */
export function darwinPlace(
  subject: TrustSubject,
  { store, home, stateFolder }: DarwinPlaceOptions,
): TrustPlace {
  const isSystem = store === 'system';
  const keychain = isSystem
    ? '/Library/Keychains/System.keychain'
    : posix.join(home, 'Library/Keychains/login.keychain-db');
  // Of the two domains only the administrator's has to be named.
  const domain = isSystem ? ['-d'] : [];
  const folder = posix.join(stateFolder, 'macos');
  const copy = posix.join(folder, `${entryName(subject)}.pem`);
  const asked = posix.join(folder, `${entryName(subject)}-asked.pem`);
  const stage: TrustStep = { kind: 'write', path: copy, text: subject.pem };
  const forget: TrustStep = { kind: 'delete', path: copy };
  return {
    store,
    name: keychain,
    probe: {
      kind: 'ask',
      about: { path: asked, text: subject.pem },
      // A CA is no leaf, which has to be said (-l), and nothing is to be fetched (-L).
      command: { program: security, args: ['verify-cert', '-c', asked, '-l', '-L'] },
      answer: isVerified,
    },
    install: [stage, run(['add-trusted-cert', ...domain, '-r', 'trustRoot', '-k', keychain, copy])],
    undo: [forget],
    remove: [
      stage,
      run(['remove-trusted-cert', ...domain, copy], nothingThere),
      run(['delete-certificate', '-Z', subject.thumbprint.toUpperCase(), keychain], nothingThere),
      forget,
    ],
  };
}

function isVerified({ code, stdout, stderr }: CommandResult): boolean | undefined {
  if (code === 0) return true;
  return /Cert Verify Result|NOT_TRUSTED/.test(`${stdout}${stderr}`) ? false : undefined;
}

function run(args: readonly string[], nothingToDo?: RegExp): TrustStep {
  return { kind: 'run', command: { program: security, args }, ...(nothingToDo && { nothingToDo }) };
}
