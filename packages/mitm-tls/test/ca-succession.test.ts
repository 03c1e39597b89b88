import { existsSync, readFileSync, statSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { type CaPaths, loadCaFromFiles, saveCa } from '../src/ca-files.ts';
import {
  finishSuccession,
  promoteSuccessor,
  type SuccessionPaths,
  successionPaths,
} from '../src/ca-succession.ts';
import { type CertificateAuthority, generateCa } from '../src/ca.ts';

let folder: string;
let paths: CaPaths;
let beside: SuccessionPaths;
let old: CertificateAuthority;
let successor: CertificateAuthority;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mitm-tls-'));
  paths = { certPath: join(folder, 'ca.pem'), keyPath: join(folder, 'ca-key.pem') };
  beside = successionPaths(paths);
  old = await generateCa();
  successor = await generateCa();
  await saveCa(old, paths);
});
afterEach(() => rm(folder, { recursive: true }));

const loaded = async ({ certPath, keyPath }: CaPaths): Promise<string> =>
  (await loadCaFromFiles(certPath, keyPath)).fingerprint;
const certificateIn = (path: string): string => readFileSync(path, 'utf8');

test.each([
  ['/ca/root.pem', '/ca/root.next.pem'],
  ['/ca/root', '/ca/root.next'],
  ['root.cert.pem', 'root.cert.next.pem'],
])('the successor of %s lies at %s', (certPath, expected) => {
  expect(successionPaths({ certPath, keyPath: certPath }).next.certPath).toBe(expected);
});

describe('a successor that is promoted', () => {
  test('takes the place of the authority, which is kept', async () => {
    await saveCa(successor, beside.next);
    await promoteSuccessor(paths);
    expect(await loaded(paths)).toBe(successor.fingerprint);
    expect(await loaded(beside.previous)).toBe(old.fingerprint);
    expect((await readdir(folder)).toSorted()).toEqual([
      'ca-key.pem',
      'ca-key.previous.pem',
      'ca.pem',
      'ca.previous.pem',
    ]);
  });

  test.skipIf(process.platform === 'win32')('leaves no key that others can read', async () => {
    await saveCa(successor, beside.next);
    await promoteSuccessor(paths);
    const modes = [paths.keyPath, beside.previous.keyPath].map((path) => statSync(path).mode & 0o777);
    expect(modes).toEqual([0o600, 0o600]);
  });

  test('that is not there is an error, and the authority stays', async () => {
    await expect(promoteSuccessor(paths)).rejects.toMatchObject({ code: 'IO' });
    expect(await loaded(paths)).toBe(old.fingerprint);
  });
});

describe('a promotion that was cut', () => {
  test('between the two renames is finished', async () => {
    await saveCa(successor, beside.next);
    await rename(beside.next.keyPath, paths.keyPath);
    await finishSuccession(paths);
    expect(await loaded(paths)).toBe(successor.fingerprint);
    expect(certificateIn(paths.certPath)).toBe(successor.certificatePem);
    expect(existsSync(beside.next.certPath)).toBe(false);
  });

  test('before the first is as if it had not begun', async () => {
    await saveCa(successor, beside.next);
    await writeFile(beside.previous.keyPath, await readFile(paths.keyPath), { mode: 0o600 });
    await finishSuccession(paths);
    expect(await loaded(paths)).toBe(old.fingerprint);
    expect(await loaded(beside.next)).toBe(successor.fingerprint);
  });

  test('of whose successor somebody took the key is given up', async () => {
    await saveCa(successor, beside.next);
    await rm(beside.next.keyPath);
    await finishSuccession(paths);
    expect(await loaded(paths)).toBe(old.fingerprint);
    expect(existsSync(beside.next.certPath)).toBe(false);
  });
});
