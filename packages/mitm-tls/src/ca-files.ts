// A certificate authority on disk. A file is complete from the moment it has its name, the key is never
// readable by others, and nothing that exists is replaced unless asked for.
import { randomBytes } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { type FileHandle, link, lstat, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { type CertificateAuthority, generateCa, type GenerateCaOptions, loadCa } from './ca.ts';
import { splitCertificatePems } from './certificate.ts';
import { CaError } from './errors.ts';

const isWindows = process.platform === 'win32';
// Between its two renames a writer leaves a key without a certificate; only a key this young is waited for.
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
}

/**
 * Reads a CA from two PEM files. Throws {@link CaError}: `PERMISSION_DENIED` (its message begins with
 * `read_ca_cert` or `read_ca_key`) or `IO` when a file cannot be read; `INVALID_MATERIAL` when `loadCa`
 * refuses what they hold, or when others may read the key.
 */
export async function loadCaFromFiles(
  certPath: string,
  keyPath: string,
  options: LoadCaFilesOptions = {},
): Promise<CertificateAuthority> {
  const certPem = await readText('read_ca_cert', certPath);
  const keyPem = await readText('read_ca_key', keyPath, (stats) => {
    if (isWindows || options.allowReadableKey === true || (stats.mode & 0o077) === 0) return;
    const mode = (stats.mode & 0o777).toString(8).padStart(4, '0');
    throw new CaError(
      'INVALID_MATERIAL',
      `the CA key ${keyPath} can be read by others (mode ${mode}): run "chmod 600 ${keyPath}"`,
      { path: keyPath },
    );
  });
  return loadCa(certPem, keyPem, { certPath, keyPath });
}

export interface SaveCaOptions extends CaPaths {
  /** Replace files that exist. A symbolic link is never replaced or followed. */
  readonly overwrite?: boolean;
}

/**
 * Writes both halves as new files beside their final names and renames them: key (mode 0600) first, then
 * certificate. Missing folders are made with mode 0700. Throws {@link CaError}: `OPERATION_FAILED` when a
 * file exists and `overwrite` is not set, or when a path is a symbolic link; `PERMISSION_DENIED` or `IO` when
 * the system refuses. A failed call leaves no new file.
 */
export async function saveCa(ca: CertificateAuthority, options: SaveCaOptions): Promise<void> {
  const { certPath, keyPath, overwrite = false } = options;
  if (resolve(certPath) === resolve(keyPath)) {
    throw new CaError('OPERATION_FAILED', `certificate and key need two files, both are ${certPath}`, {
      path: certPath,
    });
  }
  for (const path of [keyPath, certPath]) await requireFree(path, overwrite);
  const key = await writeTemporary(keyPath, ca.privateKeyPem(), 0o600);
  try {
    const cert = await writeTemporary(certPath, ca.certificatePem, 0o644);
    try {
      await publish(key, keyPath, overwrite);
      try {
        await publish(cert, certPath, overwrite);
      } catch (error) {
        // The key just published has no certificate; in overwrite mode it may have replaced another and has
        // to stay.
        if (!overwrite) await rm(keyPath, { force: true });
        throw error;
      }
    } finally {
      await rm(cert, { force: true });
    }
  } finally {
    await rm(key, { force: true });
  }
}

export interface LoadOrCreateCaOptions
  extends CaPaths, LoadCaFilesOptions, Pick<GenerateCaOptions, 'commonName' | 'organization'> {}

/**
 * Loads the CA when both files exist, makes and saves one when neither does. A loaded CA keeps its own
 * subject. Of several processes that begin at once, one writes and the others load what it wrote. Throws
 * {@link CaError} `INVALID_MATERIAL` when exactly one file exists, and what `loadCaFromFiles` and `saveCa`
 * throw.
 */
export async function loadOrCreateCa(
  options: LoadOrCreateCaOptions,
): Promise<{ readonly ca: CertificateAuthority; readonly isNew: boolean }> {
  const { certPath, keyPath } = options;
  for (let mayCreate = true; ; mayCreate = false) {
    const state = await settledPair(options);
    if (state === 'both') return { ca: await loadCaFromFiles(certPath, keyPath, options), isNew: false };
    if (state === 'key' || state === 'cert') throw halfPair(state, options);
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

async function pairState({ certPath, keyPath }: CaPaths): Promise<PairState> {
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

async function requireFree(path: string, overwrite: boolean): Promise<void> {
  const stats = await statOf(path);
  if (stats === undefined) return;
  if (stats.isSymbolicLink()) {
    throw new CaError('OPERATION_FAILED', `${path} is a symbolic link: give the path of the file itself`, {
      path,
    });
  }
  if (!overwrite) throw alreadyExists(path);
}

async function writeTemporary(path: string, text: string, mode: number): Promise<string> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  // O_NOFOLLOW does not exist on Windows, where O_EXCL alone refuses links.
  const flags = O_WRONLY | O_CREAT | O_EXCL | (isWindows ? 0 : O_NOFOLLOW);
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const file = await open(temporary, flags, mode);
    try {
      // The umask can only have taken bits away; a key that even its owner cannot read would be of no use.
      if (mode === 0o600) await file.chmod(mode);
      await file.writeFile(text);
      await file.sync();
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    } finally {
      await file.close();
    }
  } catch (error) {
    throw systemError('write', path, error);
  }
  return temporary;
}

// A hard link gives the file its name only where there is none yet, which a rename cannot promise.
async function publish(temporary: string, path: string, overwrite: boolean): Promise<void> {
  try {
    if (overwrite) await rename(temporary, path);
    else await linkOrRename(temporary, path);
    await syncFolder(dirname(path));
  } catch (error) {
    if (error instanceof CaError) throw error;
    throw errorCode(error) === 'EEXIST' ? alreadyExists(path) : systemError('write', path, error);
  }
}

async function linkOrRename(temporary: string, path: string): Promise<void> {
  try {
    await link(temporary, path);
  } catch (error) {
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes(errorCode(error) ?? '')) throw error;
    // A file system without hard links: the check is as near to the rename as it can be.
    await requireFree(path, false);
    await rename(temporary, path);
  }
}

async function syncFolder(folder: string): Promise<void> {
  if (isWindows) return;
  const handle = await open(folder, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function readText(
  operation: 'read_ca_cert' | 'read_ca_key' | 'read_ca_bundle',
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

async function statOf(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw systemError('look at', path, error);
  }
}

function alreadyExists(path: string): CaError {
  return new CaError('OPERATION_FAILED', `${path} exists already: move it away, or set overwrite`, { path });
}

function systemError(operation: string, path: string, cause: unknown): CaError {
  const code = errorCode(cause);
  if (code === 'EACCES' || code === 'EPERM') {
    return new CaError(
      'PERMISSION_DENIED',
      `${operation}: this user has no permission for ${path} (${code})`,
      {
        path,
        cause,
      },
    );
  }
  const advice = code === 'ENOENT' ? 'check the path' : 'check that it is a file on a disk that works';
  return new CaError('IO', `${operation}: ${path} failed with ${code ?? String(cause)}: ${advice}`, {
    path,
    cause,
  });
}

function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
