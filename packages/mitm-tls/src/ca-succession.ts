// The files of an authority and those beside them: its successor while clients learn to trust it, and its predecessor
// as a backup. The successor takes their place in two renames; a process killed between them leaves the second to the
// next one.
import { readFile, rename, rm } from 'node:fs/promises';
import { dirname, format, parse } from 'node:path';

import type { CaPaths } from './ca-files.ts';
import { splitCertificatePems } from './certificate.ts';
import { publish, statOf, syncFolder, systemError, writeTemporary } from './whole-file.ts';

/** Where the successor and the predecessor of an authority lie: `ca.next.pem` and `ca.previous.pem` beside `ca.pem`. */
export interface SuccessionPaths {
  readonly next: CaPaths;
  readonly previous: CaPaths;
}

/** The paths beside those of an authority. */
export function successionPaths({ certPath, keyPath }: CaPaths): SuccessionPaths {
  const beside = (word: string): CaPaths => ({
    certPath: pathBeside(certPath, word),
    keyPath: pathBeside(keyPath, word),
  });
  return { next: beside('next'), previous: beside('previous') };
}

function pathBeside(path: string, word: string): string {
  const { dir, name, ext } = parse(path);
  return format({ dir, name: `${name}.${word}`, ext });
}

/**
 * Puts the successor's files in place of the authority's, which become the predecessor's. Throws CaError; the authority's
 * files are whole then, and `finishSuccession` brings the rest.
 */
export async function promoteSuccessor(paths: CaPaths): Promise<void> {
  const { next, previous } = successionPaths(paths);
  try {
    await copy(paths.keyPath, previous.keyPath, 0o600);
    await copy(paths.certPath, previous.certPath, 0o644);
    await rename(next.keyPath, paths.keyPath);
    await rename(next.certPath, paths.certPath);
    for (const folder of new Set([dirname(paths.keyPath), dirname(paths.certPath)])) await syncFolder(folder);
  } catch (error) {
    throw systemError('rotate_ca', paths.keyPath, error);
  }
}

/**
 * Does what a process that was killed while it promoted a successor had no more time for. Does nothing where there is
 * nothing to do. Throws CaError.
 */
export async function finishSuccession(paths: CaPaths): Promise<void> {
  const { next } = successionPaths(paths);
  const [key, cert] = [await statOf(next.keyPath), await statOf(next.certPath)];
  // The key goes first: a certificate alone is what is left of that, or of an owner who took the key away.
  if (key !== undefined || cert === undefined) return;
  try {
    const [block = ''] = splitCertificatePems(await readFile(next.certPath, 'utf8'));
    const isPromoted = block !== '' && (await textOf(paths.keyPath)).includes(block);
    if (isPromoted) await rename(next.certPath, paths.certPath);
    else await rm(next.certPath, { force: true });
  } catch (error) {
    throw systemError('rotate_ca', next.certPath, error);
  }
}

async function textOf(path: string): Promise<string> {
  return (await statOf(path)) === undefined ? '' : readFile(path, 'utf8');
}

async function copy(from: string, to: string, mode: number): Promise<void> {
  await publish(await writeTemporary(to, await readFile(from, 'utf8'), mode), true);
}
