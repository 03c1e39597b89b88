import { execFile } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { loadCaFromFiles, loadOrCreateCa, readCaBundle, readPassphrase, saveCa } from '../src/ca-files.ts';
import { type CertificateAuthority, generateCa } from '../src/ca.ts';

const isWindows = process.platform === 'win32';
const run = promisify(execFile);

let folder: string;
let certPath: string;
let keyPath: string;
let ca: CertificateAuthority;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mitm-tls-'));
  certPath = join(folder, 'ca', 'cert.pem');
  keyPath = join(folder, 'ca', 'key.pem');
  ca = await generateCa();
});

afterEach(() => rm(folder, { recursive: true }));

const modeOf = (path: string): number => statSync(path).mode & 0o777;

/** Runs statements against the sources in another process, since umask and user belong to a whole process. */
async function inProcess(statements: string): Promise<string> {
  const source = `import * as files from ${JSON.stringify(new URL('../src/ca-files.ts', import.meta.url).href)};
    const paths = ${JSON.stringify({ certPath, keyPath })};
    ${statements}`;
  const { stdout } = await run(process.execPath, ['--no-warnings', '--input-type=module', '-e', source]);
  return stdout.trim();
}

describe('saveCa', () => {
  test('what is saved is loaded again, and nothing else is left behind', async () => {
    await saveCa(ca, { certPath, keyPath });
    expect((await loadCaFromFiles(certPath, keyPath)).fingerprint).toBe(ca.fingerprint);
    expect((await readdir(join(folder, 'ca'))).toSorted()).toEqual(['cert.pem', 'key.pem']);
  });

  test.skipIf(isWindows).each(['000', '022', '277'])(
    'CA-15 under umask %s the key has mode 0600',
    async (umask) => {
      await mkdir(join(folder, 'ca'));
      await inProcess(`process.umask(0o${umask}); await files.loadOrCreateCa(paths);`);
      expect(modeOf(keyPath)).toBe(0o600);
    },
  );

  test.skipIf(isWindows)('CA-15 under umask 0 a folder that is made has mode 0700', async () => {
    await inProcess('process.umask(0); await files.loadOrCreateCa(paths);');
    expect(modeOf(join(folder, 'ca'))).toBe(0o700);
    expect(modeOf(certPath)).toBe(0o644);
  });

  test.each(['certPath', 'keyPath'] as const)('an existing %s is not replaced silently', async (half) => {
    const path = half === 'certPath' ? certPath : keyPath;
    await mkdir(join(folder, 'ca'));
    await writeFile(path, 'mine');
    await expect(saveCa(ca, { certPath, keyPath })).rejects.toMatchObject({
      code: 'OPERATION_FAILED',
      path,
      message: expect.stringContaining('exists already'),
    });
    expect(readFileSync(path, 'utf8')).toBe('mine');
    expect(await readdir(join(folder, 'ca'))).toHaveLength(1);
  });

  test.skipIf(isWindows)('CA-15 a key that replaces another has mode 0600 again', async () => {
    await saveCa(ca, { certPath, keyPath });
    await chmod(keyPath, 0o644);
    await saveCa(ca, { certPath, keyPath, overwrite: true });
    expect(modeOf(keyPath)).toBe(0o600);
  });

  test('with overwrite both are replaced', async () => {
    await saveCa(ca, { certPath, keyPath });
    const next = await generateCa();
    await saveCa(next, { certPath, keyPath, overwrite: true });
    expect((await loadCaFromFiles(certPath, keyPath)).fingerprint).toBe(next.fingerprint);
  });

  test.skipIf(isWindows).each([false, true])(
    'a symbolic link is refused (overwrite: %s)',
    async (overwrite) => {
      const target = join(folder, 'target');
      await writeFile(target, 'mine');
      await mkdir(join(folder, 'ca'));
      await symlink(target, keyPath);
      await expect(saveCa(ca, { certPath, keyPath, overwrite })).rejects.toMatchObject({
        code: 'OPERATION_FAILED',
        message: expect.stringContaining('symbolic link'),
      });
      expect(readFileSync(target, 'utf8')).toBe('mine');
      expect(existsSync(certPath)).toBe(false);
    },
  );

  test('one path for both is refused', async () => {
    await expect(saveCa(ca, { certPath, keyPath: certPath })).rejects.toMatchObject({
      code: 'OPERATION_FAILED',
    });
  });

  test('a folder that cannot be made is an IO error that names the file', async () => {
    await writeFile(join(folder, 'ca'), '');
    await expect(saveCa(ca, { certPath, keyPath })).rejects.toMatchObject({
      code: 'IO',
      path: expect.any(String),
    });
  });
});

describe('loadCaFromFiles', () => {
  test('a missing file is an IO error that names it', async () => {
    await expect(loadCaFromFiles(certPath, keyPath)).rejects.toMatchObject({ code: 'IO', path: certPath });
  });

  test('CA-14 an empty certificate file is invalid material', async () => {
    await saveCa(ca, { certPath, keyPath });
    await writeFile(certPath, '');
    await expect(loadCaFromFiles(certPath, keyPath)).rejects.toMatchObject({
      code: 'INVALID_MATERIAL',
      path: certPath,
    });
  });

  test.skipIf(isWindows).each([0o640, 0o604, 0o620])(
    'a key of mode %o is refused with the command to run',
    async (mode) => {
      await saveCa(ca, { certPath, keyPath });
      await chmod(keyPath, mode);
      await expect(loadCaFromFiles(certPath, keyPath)).rejects.toMatchObject({
        code: 'INVALID_MATERIAL',
        path: keyPath,
        message: expect.stringContaining(`chmod 600 ${keyPath}`),
      });
      const allowed = await loadCaFromFiles(certPath, keyPath, { allowReadableKey: true });
      expect(allowed.fingerprint).toBe(ca.fingerprint);
    },
  );

  test.skipIf(isWindows)('CA-13 no permission names the operation', async () => {
    await saveCa(ca, { certPath, keyPath });
    await chmod(folder, 0o755);
    await chmod(join(folder, 'ca'), 0o755);
    await chmod(keyPath, 0);
    const report = await inProcess(`if (process.getuid() === 0) process.seteuid(65534);
      await files.loadCaFromFiles(paths.certPath, paths.keyPath)
        .catch((error) => console.log(error.code, error.path === paths.keyPath, error.message.split(':')[0]));`);
    expect(report).toBe('PERMISSION_DENIED true read_ca_key');
  });
});

describe('loadOrCreateCa', () => {
  test('CA-09 none: made and saved; then loaded, the same CA', async () => {
    const first = await loadOrCreateCa({ certPath, keyPath });
    expect(first.isNew).toBe(true);
    const second = await loadOrCreateCa({ certPath, keyPath });
    expect(second.isNew).toBe(false);
    expect(second.ca.fingerprint).toBe(first.ca.fingerprint);
  });

  test('CA-10 a CA on disk keeps its subject', async () => {
    await loadOrCreateCa({ certPath, keyPath, commonName: 'First', organization: 'One' });
    const { ca: loaded } = await loadOrCreateCa({ certPath, keyPath, commonName: 'Second' });
    expect(loaded.subject).toBe('CN=First, O=One');
  });

  test.each(['certPath', 'keyPath'] as const)(
    'with %s alone the error names the missing half',
    async (half) => {
      await saveCa(ca, { certPath, keyPath });
      // As another tool writes it: the key and nothing else.
      await writeFile(keyPath, ca.privateKeyPem());
      const [present, missing] = half === 'certPath' ? [certPath, keyPath] : [keyPath, certPath];
      await rm(missing);
      const minuteAgo = Date.now() / 1000 - 60;
      await utimes(present, minuteAgo, minuteAgo);
      await expect(loadOrCreateCa({ certPath, keyPath })).rejects.toMatchObject({
        code: 'INVALID_MATERIAL',
        path: missing,
        message: expect.stringContaining(`${missing} is missing while ${present} exists`),
      });
    },
  );

  test('a certificate that a killed writer did not get to is made from the key file', async () => {
    await saveCa(ca, { certPath, keyPath });
    await rm(certPath);
    const minuteAgo = Date.now() / 1000 - 60;
    await utimes(keyPath, minuteAgo, minuteAgo);
    const loaded = await loadOrCreateCa({ certPath, keyPath });
    expect(loaded).toMatchObject({ isNew: false, ca: { fingerprint: ca.fingerprint } });
    expect(readFileSync(certPath, 'utf8')).toBe(ca.certificatePem);
  });

  test('what killed writers left is taken away once nobody can be writing it any more', async () => {
    await saveCa(ca, { certPath, keyPath });
    const [old, young, other] = [
      `${keyPath}.0123456789ab.tmp`,
      `${certPath}.ba9876543210.tmp`,
      `${keyPath}.mine.tmp`,
    ];
    for (const path of [old, young, other]) await writeFile(path, '');
    const hourAgo = Date.now() / 1000 - 3_600;
    for (const path of [old, other]) await utimes(path, hourAgo, hourAgo);
    await loadOrCreateCa({ certPath, keyPath });
    expect([old, young, other].map((path) => existsSync(path))).toEqual([false, true, true]);
  });

  test('with a passphrase it is made encrypted, and found again', async () => {
    const passphrase = 'hunter2';
    const first = await loadOrCreateCa({ certPath, keyPath, passphrase });
    expect(readFileSync(keyPath, 'utf8')).toContain('BEGIN ENCRYPTED PRIVATE KEY');
    const second = await loadOrCreateCa({ certPath, keyPath, passphrase });
    expect(second.ca.fingerprint).toBe(first.ca.fingerprint);
    await expect(loadOrCreateCa({ certPath, keyPath })).rejects.toThrow(/is encrypted: give its passphrase/);
  });

  test('one file that holds both is loaded when it is named twice', async () => {
    await mkdir(join(folder, 'ca'));
    await writeFile(keyPath, ca.privateKeyPem() + ca.certificatePem, { mode: 0o600 });
    const loaded = await loadOrCreateCa({ certPath: keyPath, keyPath });
    expect(loaded).toMatchObject({ isNew: false, ca: { fingerprint: ca.fingerprint } });
  });

  test('a key that was written just now is waited for', async () => {
    await saveCa(ca, { certPath, keyPath });
    await rm(certPath);
    const waiting = loadOrCreateCa({ certPath, keyPath });
    setTimeout(() => void writeFile(certPath, ca.certificatePem), 60);
    expect((await waiting).ca.fingerprint).toBe(ca.fingerprint);
  });

  test('calls that begin together end with one CA', async () => {
    const results = await Promise.all(Array.from({ length: 5 }, () => loadOrCreateCa({ certPath, keyPath })));
    expect(results.filter((result) => result.isNew)).toHaveLength(1);
    expect(new Set(results.map((result) => result.ca.fingerprint)).size).toBe(1);
  });

  test('processes that begin together end with one CA', async () => {
    const report =
      'const { ca, isNew } = await files.loadOrCreateCa(paths); console.log(ca.fingerprint, isNew);';
    const results = await Promise.all([inProcess(report), inProcess(report), inProcess(report)]);
    const lines = results.map((line) => line.split(' '));
    expect(new Set(lines.map(([fingerprint]) => fingerprint)).size).toBe(1);
    expect(lines.filter(([, isNew]) => isNew === 'true')).toHaveLength(1);
    expect(await readdir(join(folder, 'ca'))).toHaveLength(2);
  });
});

describe('readPassphrase', () => {
  test.each([
    ['one line', 'a secret\n', 'a secret'],
    ['no line end', 'a secret', 'a secret'],
    ['a Windows line end', 'a secret\r\nmore', 'a secret'],
    ['blanks belong to it', ' a secret \n', ' a secret '],
  ])('%s', async (_rule, text, expected) => {
    const path = join(folder, 'passphrase');
    await writeFile(path, text);
    expect(await readPassphrase(path)).toBe(expected);
  });

  test('an empty line is refused by name, and so is a missing file', async () => {
    const path = join(folder, 'passphrase');
    await expect(readPassphrase(path)).rejects.toMatchObject({ code: 'IO', path });
    await writeFile(path, '\nsecond');
    await expect(readPassphrase(path)).rejects.toMatchObject({ code: 'INVALID_MATERIAL', path });
  });
});

describe('readCaBundle', () => {
  test('every certificate of the file is one entry', async () => {
    const path = join(folder, 'bundle.pem');
    await writeFile(path, `# roots\n${ca.certificatePem}${ca.certificatePem}`);
    expect(await readCaBundle(path)).toEqual([ca.certificatePem.trim(), ca.certificatePem.trim()]);
  });

  test('a file without a certificate is refused by name', async () => {
    const path = join(folder, 'bundle.pem');
    await writeFile(path, 'nothing');
    await expect(readCaBundle(path)).rejects.toMatchObject({ code: 'INVALID_MATERIAL', path });
  });
});
