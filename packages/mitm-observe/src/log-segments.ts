// The names of the files that one event log consists of, and what an earlier run may have left under them.
import { readdir, rm, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';

/** Where a segment of a log is: the log itself, then `.part00001` and so on. */
export function segmentPath(logPath: string, segment: number): string {
  return segment === 0 ? logPath : `${logPath}.part${String(segment).padStart(5, '0')}`;
}

/** Where the index of a log is unless another place is given. */
export function defaultIndexPath(logPath: string): string {
  return `${logPath}.index.tsv`;
}

/** Where the chain of a log is. */
export function chainPath(logPath: string): string {
  return `${logPath}.chain.jsonl`;
}

/** The numbers of the further segments beside a log, in order. Empty where there is no such folder. */
export async function furtherSegments(logPath: string): Promise<readonly number[]> {
  const prefix = `${basename(logPath)}.part`;
  const names = await namesIn(dirname(logPath));
  return names
    .filter((name) => name.startsWith(prefix) && /^\d{5,}$/.test(name.slice(prefix.length)))
    .map((name) => Number(name.slice(prefix.length)))
    .toSorted((a, b) => a - b);
}

/** Removes the further segments and the chain that an earlier run left beside a log. */
export async function removeFurtherSegments(logPath: string): Promise<void> {
  for (const segment of await furtherSegments(logPath)) await rm(segmentPath(logPath, segment));
  await rm(chainPath(logPath), { force: true });
}

/** The first file of an earlier run that holds something; undefined when nothing would be lost. */
export async function findLeftover(logPath: string): Promise<string | undefined> {
  const [further] = await furtherSegments(logPath);
  if (further !== undefined) return segmentPath(logPath, further);
  return (await hasContent(logPath)) ? logPath : undefined;
}

async function hasContent(path: string): Promise<boolean> {
  try {
    const stats = await stat(path);
    return stats.isFile() && stats.size > 0;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** True for the error of a file that is not there. */
export function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
