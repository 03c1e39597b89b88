// A rotation as its observers see it: who signs when, what is on disk, and what is said.
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { type CaPaths, loadCaFromFiles, loadOrCreateCa, saveCa } from '../src/ca-files.ts';
import { loadCa } from '../src/ca-material.ts';
import { CaRotation, type CaRotationNotice, type CaRotationOptions } from '../src/ca-rotation.ts';
import { successionPaths } from '../src/ca-succession.ts';
import { caBackdateMs, type CertificateAuthority, generateCa } from '../src/ca.ts';
import { CertStore } from '../src/cert-store.ts';
import { makeIntermediate, makeMaterial } from './authorities.ts';

const hourMs = 3_600_000;

let folder: string;
let files: CaPaths;
let now: number;
let notices: CaRotationNotice[];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mitm-tls-'));
  files = { certPath: join(folder, 'ca.pem'), keyPath: join(folder, 'ca-key.pem') };
  now = Date.now();
  notices = [];
});
afterEach(() => rm(folder, { recursive: true }));

interface Running {
  readonly store: CertStore;
  readonly rotation: CaRotation;
  readonly first: CertificateAuthority;
}

/** A proxy's part of it: the CA of the files, and a rotation that watches its age. */
async function start(options: Partial<CaRotationOptions> = {}): Promise<Running> {
  const { ca: first } = await loadOrCreateCa(files);
  const store = await CertStore.create(first, { now: () => now });
  const rotation = await CaRotation.begin(store, {
    files,
    overlapMs: 0,
    onNotice: (notice) => notices.push(notice),
    now: () => now,
    ...options,
  });
  return { store, rotation, first };
}

function unheard(): void {}

/** A client comes, and whatever that sets off is waited for. */
async function clientComes({ store }: Running, count = notices.length + 1): Promise<void> {
  await store.contextFor(['a.test']);
  for (let turn = 0; turn < 500 && notices.length < count; turn += 1) {
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

const onDisk = async (): Promise<string> =>
  (await loadCaFromFiles(files.certPath, files.keyPath)).fingerprint;

describe('by age', () => {
  test('CA-07 nothing happens before it, and at it a new authority signs', async () => {
    const running = await start({ afterMs: hourMs });
    now += hourMs - 1_000;
    await clientComes(running, 0);
    expect(notices).toEqual([]);
    now += 1_000;
    await clientComes(running);
    const { store, first } = running;
    expect(store.ca.fingerprint).not.toBe(first.fingerprint);
    expect(await onDisk()).toBe(store.ca.fingerprint);
    expect(notices).toEqual([
      {
        stage: 'activated',
        currentFingerprint: first.fingerprint,
        nextFingerprint: store.ca.fingerprint,
        certPath: files.certPath,
      },
    ]);
  });

  test('it counts from when the authority was made, not from when the proxy began', async () => {
    const made = await generateCa({ now: new Date(now - 2 * hourMs) });
    expect(made.notBefore.getTime()).toBeLessThan(now - 2 * hourMs - caBackdateMs + 1_000);
    await saveCa(made, files);
    const running = await start({ afterMs: hourMs });
    await clientComes(running);
    expect(running.store.ca.fingerprint).not.toBe(made.fingerprint);
  });

  test('with an overlap the successor is announced, the old one signs on, and then goes', async () => {
    const running = await start({ afterMs: hourMs, overlapMs: 24 * hourMs });
    const { store, rotation, first } = running;
    now += hourMs;
    await clientComes(running);
    const { next } = successionPaths(files);
    expect(notices).toMatchObject([
      { stage: 'announced', certPath: next.certPath, activatesAtMs: now + 24 * hourMs },
    ]);
    expect(store.ca).toBe(first);
    expect(await onDisk()).toBe(first.fingerprint);
    expect(readFileSync(next.certPath, 'utf8')).toBe(rotation.successor?.certificatePem);
    now += 24 * hourMs - 1;
    await clientComes(running, 1);
    expect(store.ca).toBe(first);
    now += 1;
    await clientComes(running);
    expect(notices.at(-1)).toMatchObject({ stage: 'activated', currentFingerprint: first.fingerprint });
    expect(await onDisk()).toBe(store.ca.fingerprint);
    expect(rotation.successor).toBeUndefined();
    const { previous } = successionPaths(files);
    expect((await loadCaFromFiles(previous.certPath, previous.keyPath)).fingerprint).toBe(first.fingerprint);
  });

  test('a proxy that is started again in the overlap goes on with the same successor', async () => {
    const options = { afterMs: hourMs, overlapMs: 24 * hourMs };
    const running = await start(options);
    now += hourMs;
    await clientComes(running);
    const announced = running.rotation.successor?.fingerprint;
    now += 2 * hourMs;
    const again = await start(options);
    expect(again.rotation.successor?.fingerprint).toBe(announced);
    expect(again.store.ca.fingerprint).toBe(running.first.fingerprint);
    now += 22 * hourMs;
    await clientComes(again);
    expect(again.store.ca.fingerprint).toBe(announced);
  });

  test('two proxies with the same files end with the same authority', async () => {
    const [left, right] = [await start({ afterMs: hourMs }), await start({ afterMs: hourMs })];
    now += hourMs;
    await clientComes(left);
    await clientComes(right);
    // The second one rotates once more, or takes what is there; either way the files say who signs.
    expect(await onDisk()).toBe(right.store.ca.fingerprint);
  });

  test('a place that cannot be written leaves the old one at work, and says so', async () => {
    const running = await start({ afterMs: hourMs });
    await mkdir(successionPaths(files).next.keyPath);
    now += hourMs;
    await clientComes(running);
    expect(notices).toMatchObject([{ stage: 'failed', error: { code: 'IO' } }]);
    expect(running.store.ca).toBe(running.first);
    expect(await onDisk()).toBe(running.first.fingerprint);
  });

  test('a failure leaves the old one at work, says so, and is tried again after an hour', async () => {
    const running = await start({ afterMs: hourMs, commonName: ' ' });
    now += hourMs;
    await clientComes(running);
    expect(notices).toMatchObject([{ stage: 'failed', error: { code: 'OPERATION_FAILED' } }]);
    expect(running.store.ca).toBe(running.first);
    now += hourMs - 1;
    await clientComes(running, 1);
    expect(notices).toHaveLength(1);
    now += 1;
    await clientComes(running);
    expect(notices).toHaveLength(2);
  });

  test('other times are taken while it runs', async () => {
    const running = await start();
    running.rotation.configure({ afterMs: hourMs, overlapMs: 0 });
    now += hourMs;
    await clientComes(running);
    expect(notices).toMatchObject([{ stage: 'activated' }]);
  });
});

test('one that is closed waits for what is being written, and begins nothing more', async () => {
  const running = await start({ afterMs: hourMs });
  now += hourMs;
  await running.store.contextFor(['a.test']);
  await running.rotation.close();
  const after = running.store.ca.fingerprint;
  expect([await onDisk(), notices.at(-1)?.stage]).toEqual([after, 'activated']);
  now += hourMs;
  await running.store.contextFor(['b.test']);
  await running.rotation.close();
  expect([running.store.ca.fingerprint, await onDisk()]).toEqual([after, after]);
});

describe('on demand', () => {
  test('CA-06 at once: another authority signs, and is on disk', async () => {
    const { store, rotation, first } = await start();
    await store.contextFor(['a.test']);
    const next = await rotation.rotate();
    expect(store.ca).toBe(next);
    expect(next.fingerprint).not.toBe(first.fingerprint);
    expect(await onDisk()).toBe(next.fingerprint);
    expect((await store.contextFor(['a.test'])).status).toBe('miss');
  });

  test('with an overlap of its own', async () => {
    const running = await start();
    const next = await running.rotation.rotate({ overlapMs: hourMs });
    expect(running.store.ca).toBe(running.first);
    now += hourMs;
    await clientComes(running, 2);
    expect(running.store.ca).toBe(next);
  });

  test('an announced successor is the one that comes', async () => {
    const { rotation, store } = await start();
    const announced = await rotation.rotate({ overlapMs: hourMs });
    expect(await rotation.rotate()).toBe(announced);
    expect(store.ca).toBe(announced);
  });

  test('by a given authority, also where there are no files', async () => {
    const { store, rotation } = await start({ files: undefined });
    const given = await generateCa({ commonName: 'Given' });
    expect(await rotation.rotate({ ca: given })).toBe(given);
    expect(store.ca).toBe(given);
    expect(await readdir(folder)).toHaveLength(2);
  });

  test('several calls run one after the other', async () => {
    const { store, rotation } = await start();
    const all = await Promise.all([rotation.rotate(), rotation.rotate(), rotation.rotate()]);
    expect(new Set(all.map(({ fingerprint }) => fingerprint)).size).toBe(3);
    expect(await onDisk()).toBe(store.ca.fingerprint);
  });

  test('the new key is encrypted like the old one', async () => {
    const passphrase = 'hunter2';
    await loadOrCreateCa({ ...files, passphrase });
    const { ca } = await loadOrCreateCa({ ...files, passphrase });
    const store = await CertStore.create(ca);
    const rotation = await CaRotation.begin(store, {
      files: { ...files, passphrase },
      overlapMs: 0,
      onNotice: unheard,
    });
    await rotation.rotate();
    expect(readFileSync(files.keyPath, 'utf8')).toContain('BEGIN ENCRYPTED PRIVATE KEY');
    expect((await loadOrCreateCa({ ...files, passphrase })).ca.fingerprint).toBe(store.ca.fingerprint);
  });
});

describe('what cannot be rotated', () => {
  test('an intermediate: its issuer would have to', async () => {
    const root = await makeMaterial();
    const { certPem, keyPem } = await makeIntermediate(root);
    const store = await CertStore.create(loadCa(certPem, keyPem));
    const options = { files, overlapMs: 0, onNotice: unheard };
    await expect(CaRotation.begin(store, { ...options, afterMs: hourMs })).rejects.toThrow(
      /is an intermediate/,
    );
    const rotation = await CaRotation.begin(store, options);
    await expect(rotation.rotate()).rejects.toMatchObject({ code: 'OPERATION_FAILED' });
  });

  test('a CA whose halves are in one file', async () => {
    const store = await CertStore.create(await generateCa());
    const one = { certPath: files.keyPath, keyPath: files.keyPath };
    const options = { files: one, overlapMs: 0, afterMs: hourMs, onNotice: unheard };
    await expect(CaRotation.begin(store, options)).rejects.toThrow(/give two files/);
  });
});
