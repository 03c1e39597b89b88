// The NSS databases of Chromium and Firefox: which folders may hold one, and what the NSS tools are told about it.
import { posix } from 'node:path';

import type { Command, CommandResult, Machine } from './machine.ts';
import { entryName, type TrustPlace, type TrustStep, type TrustSubject } from './place.ts';

const comesWith = 'libnss3-tools (Debian, Ubuntu), nss-tools (Fedora, RHEL, Alpine) or nss (Homebrew)';

/** Folders below the home folder that are a database themselves. */
const databaseFolders: Readonly<Partial<Record<NodeJS.Platform, readonly string[]>>> = {
  linux: ['.pki/nssdb', 'snap/chromium/current/.pki/nssdb'],
};
/** Folders below the home folder whose subfolders are profiles with a database each. */
const profileFolders: Readonly<Partial<Record<NodeJS.Platform, readonly string[]>>> = {
  linux: [
    '.mozilla/firefox',
    '.config/mozilla/firefox',
    'snap/firefox/common/.mozilla/firefox',
    '.var/app/org.mozilla.firefox/.mozilla/firefox',
  ],
  darwin: ['Library/Application Support/Firefox/Profiles'],
};
const databaseFile = 'cert9.db';

/** The database that Chromium on Linux reads, and makes when it first needs it. */
export function chromiumDatabase(home: string): string {
  return posix.join(home, '.pki/nssdb');
}

/** The folders with a database in this user's home folder. */
export async function nssDatabases(machine: Machine): Promise<readonly string[]> {
  const { home, platform } = machine;
  const found = (databaseFolders[platform] ?? []).map((folder) => posix.join(home, folder));
  for (const parent of profileFolders[platform] ?? []) {
    const profiles = await machine.namesIn(posix.join(home, parent));
    found.push(...profiles.map((profile) => posix.join(home, parent, profile)));
  }
  const isDatabase = await Promise.all(
    found.map(async (folder) => (await machine.namesIn(folder)).includes(databaseFile)),
  );
  return found.filter((_, index) => isDatabase[index]);
}

export interface NssPlaceOptions {
  /** The folder of the database. */
  readonly folder: string;
  /** Whether it has to be made first; it then has no password. */
  readonly isMissing?: boolean;
}

/** One database. */
export function nssPlace(subject: TrustSubject, { folder, isMissing = false }: NssPlaceOptions): TrustPlace {
  const name = entryName(subject);
  const run = (action: string, ...args: readonly string[]): TrustStep => ({
    kind: 'run',
    command: certutil(folder, action, ...args),
  });
  const create: readonly TrustStep[] = [{ kind: 'make_folder', path: folder }, run('-N', '--empty-password')];
  const forget: TrustStep = {
    kind: 'run',
    command: certutil(folder, '-D', '-n', name),
    nothingToDo: /could not find certificate/,
  };
  return {
    store: 'nss',
    name: folder,
    probe: {
      kind: 'ask',
      // Whether it is good as the CA of servers (L).
      command: certutil(folder, '-V', '-n', name, '-u', 'L'),
      answer: (result) => isValid(result, isMissing),
    },
    install: [
      ...(isMissing ? create : []),
      {
        kind: 'run',
        // Trusted to sign certificates of servers (C), and nothing else.
        command: { ...certutil(folder, '-A', '-n', name, '-t', 'C,,', '-a'), input: subject.pem },
      },
    ],
    // A database with a password takes the certificate, and then refuses to trust it.
    undo: [forget],
    remove: [forget],
  };
}

function certutil(folder: string, action: string, ...args: readonly string[]): Command {
  return { program: 'certutil', args: [action, '-d', `sql:${folder}`, ...args], comesWith };
}

function isValid({ code, stdout, stderr }: CommandResult, isMissing: boolean): boolean | undefined {
  if (code === 0) return true;
  const said = `${stdout}${stderr}`;
  if (/could not find certificate|certificate is invalid/.test(said)) return false;
  return isMissing && said.includes('SEC_ERROR_BAD_DATABASE') ? false : undefined;
}
