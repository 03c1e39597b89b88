// Files that are complete from the moment they have their name: written under another one beside it, synced, and then
// given the name. What a killed process leaves of that is found again and taken away.
import { randomBytes } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { link, lstat, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { CaError } from './errors.ts';

const isWindows = process.platform === 'win32';
/** Whoever writes takes far less; what is older was left by a process that is gone. */
const staleMs = 60_000;

/** A file that has been written and synced, and not been given its name yet. */
export interface TemporaryFile {
  /** The name it is for. */
  readonly path: string;
  readonly temporary: string;
}

/**
 * Writes a file beside `path`. Missing folders are made with mode 0700. Throws {@link CaError} `PERMISSION_DENIED` or
 * `IO`; nothing is left then.
 */
export async function writeTemporary(path: string, text: string, mode: number): Promise<TemporaryFile> {
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
  return { path, temporary };
}

/**
 * Gives a written file its name. Without `overwrite` it never takes the name from another file, whoever is quicker. Throws
 * {@link CaError}: `OPERATION_FAILED` when there is one, `PERMISSION_DENIED` or `IO` when the system refuses.
 */
export async function publish({ path, temporary }: TemporaryFile, overwrite: boolean): Promise<void> {
  try {
    if (overwrite) await rename(temporary, path);
    else await linkOrRename(temporary, path);
    await syncFolder(dirname(path));
  } catch (error) {
    if (error instanceof CaError) throw error;
    throw errorCode(error) === 'EEXIST' ? alreadyExists(path) : systemError('write', path, error);
  }
}

/** Takes away what is left of a written file whose name was given, or is not going to be. */
export async function discard({ temporary }: TemporaryFile): Promise<void> {
  await rm(temporary, { force: true });
}

/** Throws {@link CaError} `OPERATION_FAILED` when a file exists that may not be replaced; a symbolic link never may. */
export async function requireFree(path: string, overwrite: boolean): Promise<void> {
  const stats = await statOf(path);
  if (stats === undefined) return;
  if (stats.isSymbolicLink()) {
    throw new CaError('OPERATION_FAILED', `${path} is a symbolic link: give the path of the file itself`, {
      path,
    });
  }
  if (!overwrite) throw alreadyExists(path);
}

/** Takes away what writers of `path` left beside it when they were killed. A folder that can't be read is left alone. */
export async function removeLeftovers(path: string): Promise<void> {
  const folder = dirname(path);
  const name = basename(path);
  const isLeftover = (entry: string): boolean =>
    entry.startsWith(`${name}.`) && /^\.[0-9a-f]{12}\.tmp$/.test(entry.slice(name.length));
  for (const entry of (await entriesOf(folder)).filter(isLeftover)) {
    const leftover = join(folder, entry);
    const stats = await statOf(leftover);
    if (stats !== undefined && Date.now() - stats.mtimeMs > staleMs) await rm(leftover, { force: true });
  }
}

async function entriesOf(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (['ENOENT', 'EACCES', 'EPERM', 'ENOTDIR'].includes(errorCode(error) ?? '')) return [];
    throw systemError('look at', folder, error);
  }
}

/** What is at a path, without following a link; undefined when nothing is. */
export async function statOf(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw systemError('look at', path, error);
  }
}

async function linkOrRename(temporary: string, path: string): Promise<void> {
  try {
    // A hard link gives the file its name only where there is none yet, which a rename cannot promise.
    await link(temporary, path);
  } catch (error) {
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes(errorCode(error) ?? '')) throw error;
    // A file system without hard links: the check is as near to the rename as it can be.
    await requireFree(path, false);
    await rename(temporary, path);
  }
}

/** Makes what happened to names in a folder outlast a power failure. */
export async function syncFolder(folder: string): Promise<void> {
  if (isWindows) return;
  const handle = await open(folder, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function alreadyExists(path: string): CaError {
  return new CaError('OPERATION_FAILED', `${path} exists already: move it away, or set overwrite`, { path });
}

/** What the system refused, as an error that names the file and what to do. */
export function systemError(operation: string, path: string, cause: unknown): CaError {
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
