// The trust store of a Linux for real: its own folders and its own program in a throw-away root, with curl as the judge. Each machine
// has one family and shows that one; where p11-kit is at hand, it also shows the layout of RHEL, for which p11-kit does the work.
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { describe, expect, test } from 'vitest';

import { noThrowAwayRoot, runInThrowAwayRoot } from '../../../../testing/lab/throw-away-root.ts';

const session = fileURLToPath(new URL('session.ts', import.meta.url));
// The update program reads and writes all that the system trusts, and has to wait for its disk.
const testMs = 120_000;

interface Family {
  readonly family: string;
  readonly update: string;
  readonly bundle: string;
  readonly folders: readonly string[];
  /** What makes the root one of this family, on a machine of another; in shell. */
  readonly disguise?: string;
}

// On RHEL the update program is a list of such calls, one for each format.
const layoutOfRhel = `set -e
rm -f /etc/os-release
echo 'ID=fedora' >/etc/os-release
mkdir -p /etc/pki/ca-trust/source/anchors /etc/pki/ca-trust/extracted/pem /etc/lab
sed -i "s#^x-init-reserved:.*#x-init-reserved: paths='/etc/pki/ca-trust/source'#" /usr/share/p11-kit/modules/p11-kit-trust.module
cat >/etc/lab/update-ca-trust <<'END'
#!/bin/sh
exec p11-kit extract --format=pem-bundle --filter=ca-anchors --overwrite --comment --purpose server-auth \\
  /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem
END
chmod +x /etc/lab/update-ca-trust
# A list is never empty, and curl takes no empty one.
first=$(ls /usr/share/ca-certificates/mozilla/*.crt | head -n 1)
cp "$first" /etc/pki/ca-trust/source/anchors/other.pem
export PATH="/etc/lab:$PATH" CURL_CA_BUNDLE=/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem
update-ca-trust
`;

const families: readonly Family[] = [
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
  {
    family: 'the layout of RHEL',
    update: 'p11-kit',
    // Not there outside the root.
    bundle: '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
    folders: ['/etc', '/usr/share/p11-kit/modules'],
    disguise: layoutOfRhel,
  },
];

/** The text of a file; undefined where there is none. */
async function textOf(path: string): Promise<string | undefined> {
  return existsSync(path) ? await readFile(path, 'utf8') : undefined;
}

for (const { family, update, bundle, folders, disguise = '' } of families) {
  const reason = await noThrowAwayRoot(update, 'curl');

  /** What came of each act of a session. */
  const play = async (acts: readonly string[]): Promise<unknown> => {
    const program = [process.execPath, '--no-warnings', '--conditions=@soth/source', session, ...acts];
    const command = ['sh', '-c', `${disguise}exec "$@"`, 'sh', ...program];
    return JSON.parse(await runInThrowAwayRoot(folders, command));
  };

  describe.skipIf(reason !== undefined)(
    `${family}${reason === undefined ? '' : ` (skipped: ${reason})`}`,
    () => {
      test(
        'a CA is trusted by curl from installation to removal',
        async () => {
          const before = await textOf(bundle);
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
          expect(await textOf(bundle)).toBe(before);
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
