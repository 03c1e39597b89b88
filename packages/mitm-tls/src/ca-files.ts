// A certificate authority on disk: a key file that holds its certificate too, so that it is whole by itself, and a
// certificate file for everyone. The key is never readable by others, nothing that exists is replaced unless asked for,
// and what a killed process left half done is finished by the next one.
import type { Stats } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { loadCa } from './ca-material.ts';
import { finishSuccession } from './ca-succession.ts';
import { type CertificateAuthority, generateCa, type GenerateCaOptions } from './ca.ts';
import { splitCertificatePems } from './certificate.ts';
import { CaError } from './errors.ts';
import {
  discard,
  publish,
  removeLeftovers,
  requireFree,
  statOf,
  systemError,
  writeTemporary,
} from './whole-file.ts';

const isWindows = process.platform === 'win32';
// A writer publishes the key and then the certificate; only a key this young is waited for.
const otherWriterMs = 2_000;
const pollMs = 20;

/** Where the two halves of a CA lie. */
export interface CaPaths {
  readonly certPath: string;
  readonly keyPath: string;
}

export interface LoadCaFilesOptions {
  /** Take a key file that group or others may read. Never needed for files written by `saveCa`. */
  readonly allowReadableKey?: boolean;
  /** What an encrypted key is decrypted with. */
  readonly passphrase?: string | undefined;
}

/**
 * Reads a CA from two PEM files, or from one that holds both and is named twice. Throws {@link CaError}:
 * `PERMISSION_DENIED` (its message begins with `read_ca_cert` or `read_ca_key`) or `IO` when a file cannot be read;
 * `INVALID_MATERIAL` when `loadCa` refuses what they hold, or when others may read the key.
 */
export async function loadCaFromFiles(
  certPath: string,
  keyPath: string,
  options: LoadCaFilesOptions = {},
): Promise<CertificateAuthority> {
  const certPem = await readText('read_ca_cert', certPath);
  const keyPem = await readKeyText(keyPath, options);
  return loadCa(certPem, keyPem, { certPath, keyPath, passphrase: options.passphrase });
}

export interface SaveCaOptions extends CaPaths {
  /** Replace files that exist. A symbolic link is never replaced or followed. */
  readonly overwrite?: boolean;
  /** Encrypts the key on disk. */
  readonly passphrase?: string | undefined;
}

/**
 * Writes both halves as new files beside their final names and then gives them these: key (mode 0600, with its certificate
 * behind it) first, then certificate. Missing folders are made with mode 0700. Throws {@link CaError}: `OPERATION_FAILED`
 * when a file exists and `overwrite` is not set, or when a path is a symbolic link; `PERMISSION_DENIED` or `IO` when the
 * system refuses. A failed call leaves no new file; a killed one leaves nothing, or what `loadOrCreateCa` completes.
 */
export async function saveCa(ca: CertificateAuthority, options: SaveCaOptions): Promise<void> {
  const { certPath, keyPath, overwrite = false } = options;
  if (resolve(certPath) === resolve(keyPath)) {
    throw new CaError('OPERATION_FAILED', `certificate and key need two files, both are ${certPath}`, {
      path: certPath,
    });
  }
  for (const path of [keyPath, certPath]) await requireFree(path, overwrite);
  const key = await writeTemporary(keyPath, keyFileText(ca, options.passphrase), 0o600);
  try {
    const cert = await writeTemporary(certPath, certFileText(ca), 0o644);
    try {
      await publish(key, overwrite);
      try {
        await publish(cert, overwrite);
      } catch (error) {
        // In overwrite mode the key may have replaced another and has to stay; it is whole by itself.
        if (!overwrite) await rm(keyPath, { force: true });
        throw error;
      }
    } finally {
      await discard(cert);
    }
  } finally {
    await discard(key);
  }
}

/** What a key file of ours holds: the key, and all that `loadCa` needs beside it. */
function keyFileText(ca: CertificateAuthority, passphrase: string | undefined): string {
  return ca.privateKeyPem(passphrase) + certFileText(ca);
}

function certFileText(ca: CertificateAuthority): string {
  return ca.isSelfSigned ? ca.certificatePem : ca.chainPem;
}

export interface LoadOrCreateCaOptions
  extends CaPaths, LoadCaFilesOptions, Pick<GenerateCaOptions, 'commonName' | 'organization'> {}

/**
 * Loads the CA when both files exist, makes and saves one when neither does. A loaded CA keeps its own
 * subject. Of several processes that begin at once, one writes and the others load what it wrote. Of a key file that holds
 * its certificate the certificate file is made where it is missing. Throws {@link CaError} `INVALID_MATERIAL` when exactly
 * one file exists otherwise, and what `loadCaFromFiles` and `saveCa` throw.
 */
export async function loadOrCreateCa(
  options: LoadOrCreateCaOptions,
): Promise<{ readonly ca: CertificateAuthority; readonly isNew: boolean }> {
  const { certPath, keyPath } = options;
  for (const path of [keyPath, certPath]) await removeLeftovers(path);
  await finishSuccession(options);
  for (let mayCreate = true; ; mayCreate = false) {
    const state = await settledPair(options);
    if (state === 'both') return { ca: await loadCaFromFiles(certPath, keyPath, options), isNew: false };
    if (state === 'key') return { ca: await completePair(options), isNew: false };
    if (state === 'cert') throw halfPair(state, options);
    const ca = await generateCa(options);
    try {
      await saveCa(ca, options);
      return { ca, isNew: true };
    } catch (error) {
      const hasLost = error instanceof CaError && error.code === 'OPERATION_FAILED';
      if (!mayCreate || !hasLost || (await pairState(options)) === 'none') throw error;
    }
  }
}

/** Makes the certificate file that a killed writer had no more time for. */
async function completePair(options: LoadOrCreateCaOptions): Promise<CertificateAuthority> {
  const { certPath, keyPath } = options;
  const keyPem = await readKeyText(keyPath, options);
  if (splitCertificatePems(keyPem).length === 0) throw halfPair('key', options);
  const ca = loadCa(keyPem, keyPem, { certPath: keyPath, keyPath, passphrase: options.passphrase });
  await writeCertificate(ca, certPath, false);
  return ca;
}

/** Writes the certificate file alone. Another process that wrote it first has written the same. */
export async function writeCertificate(
  ca: CertificateAuthority,
  certPath: string,
  overwrite: boolean,
): Promise<void> {
  const cert = await writeTemporary(certPath, certFileText(ca), 0o644);
  try {
    await publish(cert, overwrite);
  } catch (error) {
    if (!(error instanceof CaError) || error.code !== 'OPERATION_FAILED') throw error;
  } finally {
    await discard(cert);
  }
}

type PairState = 'none' | 'key' | 'cert' | 'both';

async function settledPair(paths: CaPaths): Promise<PairState> {
  const deadline = Date.now() + otherWriterMs;
  for (;;) {
    const state = await pairState(paths);
    if (state !== 'key' || Date.now() > deadline) return state;
    const key = await statOf(paths.keyPath);
    if (key !== undefined && Date.now() - key.mtimeMs > otherWriterMs) return pairState(paths);
    await delay(pollMs);
  }
}

/** Which halves are there. */
export async function pairState({ certPath, keyPath }: CaPaths): Promise<PairState> {
  const cert = await statOf(certPath);
  const key = await statOf(keyPath);
  if (cert !== undefined && key !== undefined) return 'both';
  if (cert === undefined && key === undefined) return 'none';
  return cert === undefined ? 'key' : 'cert';
}

function halfPair(present: 'key' | 'cert', { certPath, keyPath }: CaPaths): CaError {
  const [found, missing] = present === 'key' ? [keyPath, certPath] : [certPath, keyPath];
  const half = present === 'key' ? 'certificate' : 'key';
  return new CaError(
    'INVALID_MATERIAL',
    `the CA ${half} ${missing} is missing while ${found} exists: restore it, or move ${found} away to have a new CA made`,
    { path: missing },
  );
}

/** The text of a key file that nobody else may read. */
function readKeyText(keyPath: string, options: LoadCaFilesOptions): Promise<string> {
  return readText('read_ca_key', keyPath, (stats) => {
    if (isWindows || options.allowReadableKey === true || (stats.mode & 0o077) === 0) return;
    const mode = (stats.mode & 0o777).toString(8).padStart(4, '0');
    throw new CaError(
      'INVALID_MATERIAL',
      `the CA key ${keyPath} can be read by others (mode ${mode}): run "chmod 600 ${keyPath}"`,
      { path: keyPath },
    );
  });
}

async function readText(
  operation: 'read_ca_cert' | 'read_ca_key' | 'read_ca_bundle' | 'read_ca_passphrase',
  path: string,
  check: (stats: Stats) => void = () => {},
): Promise<string> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, 'r');
    // Of the open file, so that what is judged is what is read.
    check(await file.stat());
    return await file.readFile('utf8');
  } catch (error) {
    throw error instanceof CaError ? error : systemError(operation, path, error);
  } finally {
    await file?.close();
  }
}

/**
 * The certificates of a PEM bundle file, one block each. Throws {@link CaError}: `PERMISSION_DENIED` or `IO`
 * when it cannot be read, `INVALID_MATERIAL` when it holds no certificate.
 */
export async function readCaBundle(path: string): Promise<string[]> {
  const pems = splitCertificatePems(await readText('read_ca_bundle', path));
  if (pems.length === 0) {
    throw new CaError(
      'INVALID_MATERIAL',
      `${path} holds no "BEGIN CERTIFICATE" block: give certificates in PEM form`,
      { path },
    );
  }
  return [...pems];
}

/**
 * The passphrase in a file: its first line, without the line end. Throws {@link CaError}: `PERMISSION_DENIED` or `IO` when
 * it cannot be read, `INVALID_MATERIAL` when the line is empty.
 */
export async function readPassphrase(path: string): Promise<string> {
  const [line = ''] = (await readText('read_ca_passphrase', path)).split(/\r?\n/, 1);
  if (line !== '') return line;
  throw new CaError('INVALID_MATERIAL', `${path} begins with an empty line: put the passphrase there`, {
    path,
  });
}
