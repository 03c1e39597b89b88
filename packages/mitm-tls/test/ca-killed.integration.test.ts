// An authority whose writer is killed: before every single call to the file system, for real. Whatever is left, the next
// process finds an authority that is whole, and no key that others could read. `SOTH_KILL_COUNT` repeats until so many have died.
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { type CaPaths, loadOrCreateCa, saveCa } from '../src/ca-files.ts';
import { CaRotation } from '../src/ca-rotation.ts';
import { type CertificateAuthority, generateCa } from '../src/ca.ts';
import { CertStore } from '../src/cert-store.ts';
import { fingerprintOf, decodePem, splitCertificatePems } from '../src/certificate.ts';
import type { WriterTask } from './killed-writer.ts';

const writer = new URL('killed-writer.ts', import.meta.url).pathname;
const wantedKills = Number(process.env['SOTH_KILL_COUNT'] ?? 0);
const parallel = 3;

let folder: string;
let old: CertificateAuthority;
let next: CertificateAuthority;
let material: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mitm-tls-'));
  [old, next] = [await generateCa(), await generateCa()];
  material = join(folder, 'next.pem');
  await writeFile(material, next.privateKeyPem() + next.certificatePem, { mode: 0o600 });
});
afterAll(() => rm(folder, { recursive: true }));

/** Runs the writer; undefined when it was killed, else how many calls it made. */
function write(task: WriterTask): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const args = ['--no-warnings', writer, JSON.stringify(task)];
    execFile(process.execPath, args, (error, stdout, stderr) => {
      if (error === null) resolve(Number(stdout));
      else if (error.signal === 'SIGKILL') resolve(undefined);
      else reject(new Error(stderr));
    });
  });
}

let placeCount = 0;
async function newPlace(kind: WriterTask['kind']): Promise<CaPaths> {
  const place = join(folder, String((placeCount += 1)));
  const paths = { certPath: join(place, 'ca.pem'), keyPath: join(place, 'ca-key.pem') };
  if (kind === 'rotate') await saveCa(old, paths);
  return paths;
}

/** What the next process makes of what it finds: the fingerprint of its authority. */
async function takenUp(paths: CaPaths): Promise<string> {
  const { ca } = await loadOrCreateCa(paths);
  const rotation = await CaRotation.begin(await CertStore.create(ca), {
    files: paths,
    overlapMs: 0,
    onNotice: () => {},
  });
  expect([undefined, next.fingerprint]).toContain(rotation.successor?.fingerprint);
  const [block = ''] = splitCertificatePems(await readFile(paths.certPath, 'utf8'));
  expect(fingerprintOf(decodePem(block))).toBe(ca.fingerprint);
  return ca.fingerprint;
}

/** The files with a key in them that somebody else may read. */
async function openKeys({ certPath }: CaPaths): Promise<string[]> {
  const place = join(certPath, '..');
  const open: string[] = [];
  for (const entry of await readdir(place).catch(() => [])) {
    const path = join(place, entry);
    const isClosed = ((await stat(path)).mode & 0o777) === 0o600;
    if (!isClosed && (await readFile(path, 'utf8')).includes('PRIVATE KEY')) open.push(entry);
  }
  return open;
}

describe.skipIf(process.platform === 'win32').each(['save', 'rotate'] as const)('%s', (kind) => {
  test(
    'killed before any of its calls leaves an authority that is whole',
    async () => {
      const counting = await write({ kind, paths: await newPlace(kind), material, diesBefore: 0 });
      const callCount = counting ?? 0;
      expect(callCount).toBeGreaterThan(10);
      const rounds = Math.max(1, Math.ceil(wantedKills / (2 * callCount)));
      const steps = Array.from({ length: rounds * callCount }, (_, index) => (index % callCount) + 1);
      const outcomes = new Set<string>();
      let killed = 0;
      const dieOne = async (diesBefore: number): Promise<void> => {
        const paths = await newPlace(kind);
        if ((await write({ kind, paths, material, diesBefore })) === undefined) killed += 1;
        expect(await openKeys(paths)).toEqual([]);
        const found = await takenUp(paths);
        outcomes.add(found === next.fingerprint ? 'new' : found === old.fingerprint ? 'old' : 'another');
      };
      await Promise.all(
        Array.from({ length: parallel }, async () => {
          for (let step = steps.shift(); step !== undefined; step = steps.shift()) await dieOne(step);
        }),
      );
      expect(killed).toBe(rounds * callCount);
      // Nothing was saved yet, and one is made; or the one before a rotation is still there.
      expect([...outcomes].toSorted()).toEqual(kind === 'save' ? ['another', 'new'] : ['new', 'old']);
    },
    120_000 + wantedKills * 1_000,
  );
});
