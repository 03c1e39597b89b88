// The trust store of the Debian family for real: its own folders and update-ca-certificates in a throw-away root, with curl as the
// judge.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { expect, test } from 'vitest';

import { noThrowAwayRoot, runInThrowAwayRoot } from '../../../../testing/lab/throw-away-root.ts';

const reason = await noThrowAwayRoot('update-ca-certificates', 'curl');
const folders = ['/etc/ssl/certs', '/usr/local/share/ca-certificates'];
const bundle = '/etc/ssl/certs/ca-certificates.crt';
const session = fileURLToPath(new URL('session.ts', import.meta.url));

/** What came of each act of a session. */
async function play(acts: readonly string[]): Promise<unknown> {
  const program = [process.execPath, '--no-warnings', '--conditions=@soth/source', session, ...acts];
  return JSON.parse(await runInThrowAwayRoot(folders, program));
}

test.skipIf(reason !== undefined)(
  `a CA is trusted by curl from installation to removal${reason === undefined ? '' : ` (skipped: ${reason})`}`,
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
  120_000,
);

test.skipIf(reason !== undefined)(
  `who may not write there is told so, and may still ask${reason === undefined ? '' : ` (skipped: ${reason})`}`,
  async () => {
    const played = await play([
      'install',
      'become nobody',
      'is trusted',
      'install',
      'install another',
      'uninstall',
    ]);
    expect(played).toEqual([
      [true],
      'nobody',
      true,
      [false],
      expect.stringMatching(
        /^PERMISSION_DENIED install_ca_trust: this user has no permission for .+\.crt \(EACCES\): run it as root/,
      ),
      expect.stringMatching(/^PERMISSION_DENIED uninstall_ca_trust: .+ \(EACCES\): run it as root/),
    ]);
  },
  120_000,
);
