// The root store of Windows, the machine's or the user's, through the system's own certutil.exe. What it prints is translated;
// hashes and error codes are not, so only these are read.
import { win32 } from 'node:path';

import type { CommandResult } from './machine.ts';
import { entryName, type TrustPlace, type TrustStep, type TrustSubject } from './place.ts';

// NTE_NOT_FOUND and CRYPT_E_NOT_FOUND.
const nothingThere = /0x80090011|0x80092004/i;

export interface WindowsPlaceOptions {
  readonly store: 'system' | 'user';
  /** Such as `C:\Windows`. */
  readonly systemRoot: string;
  /** Where a copy of the certificate is kept. */
  readonly stateFolder: string;
}

/** The root store of the machine (`system`), or of the user, for whose change Windows asks on the screen. */
export function windowsPlace(
  subject: TrustSubject,
  { store, systemRoot, stateFolder }: WindowsPlaceOptions,
): TrustPlace {
  // By its full path: the NSS tools have a program of the same name.
  const program = win32.join(systemRoot, 'System32', 'certutil.exe');
  const scope = store === 'user' ? ['-user'] : [];
  const copy = win32.join(stateFolder, 'windows', `${entryName(subject)}.pem`);
  const forget: TrustStep = { kind: 'delete', path: copy };
  return {
    store,
    name: store === 'user' ? String.raw`CurrentUser\Root` : String.raw`LocalMachine\Root`,
    probe: {
      kind: 'ask',
      command: { program, args: [...scope, '-store', 'Root', subject.thumbprint] },
      answer: (result) => isListed(result, subject.thumbprint),
    },
    install: [
      { kind: 'write', path: copy, text: subject.pem },
      { kind: 'run', command: { program, args: [...scope, '-f', '-addstore', 'Root', copy] } },
    ],
    undo: [forget],
    remove: [
      {
        kind: 'run',
        command: { program, args: [...scope, '-delstore', 'Root', subject.thumbprint] },
        nothingToDo: nothingThere,
      },
      forget,
    ],
  };
}

function isListed({ code, stdout, stderr }: CommandResult, thumbprint: string): boolean | undefined {
  // Older releases print the hash in pairs.
  if (code === 0) return stdout.replaceAll(/\s/g, '').toLowerCase().includes(thumbprint);
  return nothingThere.test(`${stdout}${stderr}`) ? false : undefined;
}
