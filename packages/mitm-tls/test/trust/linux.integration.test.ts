// The trust store of a Linux for real: its own folders and its own program in a throw-away root, with curl as the judge. Each machine
// has one family and shows that one.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { describe, expect, test } from 'vitest';

import { noThrowAwayRoot, runInThrowAwayRoot } from '../../../../testing/lab/throw-away-root.ts';

const session = fileURLToPath(new URL('session.ts', import.meta.url));
// The update program reads and writes all that the system trusts, and has to wait for its disk.
const testMs = 120_000;

const families = [
  {
    family: 'Debian',
    update: 'update-ca-certificates',
    bundle: '/etc/ssl/certs/ca-certificates.crt',
    folders: ['/etc/ssl/certs', '/usr/local/share/ca-certificates'],
  },
  {
    family: 'RHEL',
    update: 'update-ca-trust',
    bundle: '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
    folders: ['/etc/pki/ca-trust'],
  },
];

for (const { family, update, bundle, folders } of families) {
  const reason = await noThrowAwayRoot(update, 'curl');

  /** What came of each act of a session. */
  const play = async (acts: readonly string[]): Promise<unknown> => {
    const program = [process.execPath, '--no-warnings', '--conditions=@soth/source', session, ...acts];
    return JSON.parse(await runInThrowAwayRoot(folders, program));
  };

  describe.skipIf(reason !== undefined)(
    `${family}${reason === undefined ? '' : ` (skipped: ${reason})`}`,
    () => {
      test(
        'a CA is trusted by curl from installation to removal',
        async () => {
          const before = await readFile(bundle, 'utf8');
          const played = await play([
            'is trusted',
            'curl',
            'install',
            'is trusted',
            'curl',
            'install',
            'install another',
            'curl',
            'uninstall',
            'is trusted',
            'curl',
            'uninstall',
          ]);
          expect(played).toEqual([
            false,
            'code 60',
            [true],
            true,
            'ok',
            [false], // there already
            [true],
            'ok', // another CA of the same name takes nothing away
            [true],
            false,
            'code 60',
            [false],
          ]);
          expect(await readFile(bundle, 'utf8')).toBe(before);
        },
        testMs,
      );

      test(
        'who may not write there is told so, and may still ask',
        async () => {
          const played = await play([
            'install',
            'become nobody',
            'is trusted',
            'install',
            'install another',
            'uninstall',
          ]);
          const refusal = / this user has no permission for .+\.(?:crt|pem) \(EACCES\): run it as root/;
          expect(played).toEqual([
            [true],
            'nobody',
            true,
            [false],
            expect.stringMatching(new RegExp(`^PERMISSION_DENIED install_ca_trust:${refusal.source}`)),
            expect.stringMatching(new RegExp(`^PERMISSION_DENIED uninstall_ca_trust:${refusal.source}`)),
          ]);
        },
        testMs,
      );
    },
  );
}
