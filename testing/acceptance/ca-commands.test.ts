// The CA by the program's own commands: strangers read what it shows, and trust what it installs.
import { readdir } from 'node:fs/promises';

import { describe, expect, test } from 'vitest';

import { hasCommand } from '../lab/clients.ts';
import { runProgram } from '../lab/programs.ts';
import { type TemporaryDirectory, temporaryDirectory } from '../lab/temporary.ts';
import { ProgramProcess } from './program-process.ts';

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly complaints: readonly string[];
}

/** `soth-mitm ca …` with the CA of one home folder. */
async function ca(home: TemporaryDirectory, ...argv: readonly string[]): Promise<Ended> {
  const files = ['--ca-cert', home.resolve('ca.pem'), '--ca-key', home.resolve('ca-key.pem')];
  await using program = await ProgramProcess.start(() => ['ca', ...argv, ...files], {
    environment: { HOME: home.path },
  });
  const code = await program.end();
  return { code, out: program.out, complaints: program.complaints };
}

test.skipIf(!(await hasCommand('openssl')))(
  'what it shows of the CA is what openssl reads in the file (skipped without openssl)',
  async () => {
    await using home = await temporaryDirectory();
    const path = home.resolve('ca.pem');
    expect(await ca(home, 'create')).toEqual({ code: 0, out: `made: ${path}\n`, complaints: [] });
    expect((await ca(home, 'path')).out).toBe(`${path}\n`);
    const read = await runProgram('openssl', ['x509', '-in', path, '-noout', '-fingerprint', '-sha256']);
    const fingerprint = (await ca(home, 'fingerprint')).out.trim();
    expect(read.stdout.toString().replaceAll(':', '').toLowerCase()).toContain(`=${fingerprint}`);
    const printed = await ca(home, 'print');
    const again = await runProgram('openssl', ['x509', '-noout', '-subject'], {
      input: Buffer.from(printed.out),
    });
    expect(again.stdout.toString()).toContain('soth-mitm Local CA');
    expect(printed.out).not.toContain('PRIVATE');
  },
);

test('a CA that is not there yet is not made by asking for it', async () => {
  await using home = await temporaryDirectory();
  for (const action of ['print', 'fingerprint', 'check', 'install', 'remove']) {
    const { code, complaints } = await ca(home, action);
    expect([action, code]).toEqual([action, 22]);
    expect(complaints).toEqual([expect.stringContaining('soth-mitm ca create makes it')]);
  }
  expect(await readdir(home.path)).toEqual([]);
});

describe.skipIf(process.platform !== 'linux' || !(await hasCommand('certutil')))(
  'the databases of the browsers (skipped without certutil of NSS)',
  () => {
    const nss = ['--store', 'nss'];

    test('trust the CA from install to remove, and check tells by its exit code', async () => {
      await using home = await temporaryDirectory();
      await ca(home, 'create');
      expect(await ca(home, 'check', ...nss)).toMatchObject({ code: 25, complaints: [] });
      expect(await ca(home, 'install', ...nss)).toMatchObject({ code: 0, complaints: [] });
      expect((await ca(home, 'check', ...nss)).code).toBe(0);
      const database = `sql:${home.resolve('.pki/nssdb')}`;
      const listed = await runProgram('certutil', ['-L', '-d', database]);
      expect(listed.stdout.toString()).toMatch(/^soth-mitm-[0-9a-f]{16} +C,, *$/m);
      expect((await ca(home, 'remove', ...nss)).code).toBe(0);
      expect((await ca(home, 'check', ...nss)).code).toBe(25);
    });

    test('that have a password are told of, in one sentence', async () => {
      await using home = await temporaryDirectory();
      await ca(home, 'create');
      await ca(home, 'install', ...nss);
      await ca(home, 'remove', ...nss);
      const database = `sql:${home.resolve('.pki/nssdb')}`;
      const [none, some] = [await home.write('none', '\n'), await home.write('some', 'secret\n')];
      const changed = await runProgram('certutil', ['-W', '-d', database, '-f', none, '-@', some]);
      expect(changed.code).toBe(0);
      const { code, complaints } = await ca(home, 'install', ...nss);
      expect(code).toBe(24);
      expect(complaints).toEqual([
        expect.stringMatching(/^soth-mitm: install_ca_trust: certutil .*BAD_PASSWORD/),
      ]);
    });
  },
);
