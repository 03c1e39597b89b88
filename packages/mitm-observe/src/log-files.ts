// Opens the files that one event log writes: the log, its index and, where there is a key, its chain. All or none of them.
import { resolve } from 'node:path';

import { EventLogError, openStep } from './event-log-error.ts';
import { LogChain, shortestChainKey } from './log-chain.ts';
import { LogFile } from './log-file.ts';
import { LogIndex } from './log-index.ts';
import { chainPath, defaultIndexPath, findLeftover, removeFurtherSegments } from './log-segments.ts';

export interface LogFiles {
  readonly log: LogFile;
  readonly index: LogIndex;
  readonly chain: LogChain | undefined;
}

/** Where the files of a log are, and what they begin with. */
export interface LogFilesOptions {
  /** The log. Further segments are this path with `.part00001` and so on. */
  readonly path: string;
  /** The index of all segments; the log's path with `.index.tsv` when absent. */
  readonly indexPath?: string | undefined;
  /** What becomes of a log that an earlier run left: `replace` (when absent) removes it, `refuse` does not open. */
  readonly leftovers?: 'replace' | 'refuse' | undefined;
  /** At least 32 bytes. With them a chain of digests is written beside the log, which `verifyEventLog` checks. */
  readonly chainKey?: Uint8Array | undefined;
}

/** Makes the folders and opens empty files. Throws {@link EventLogError}; nothing is left open then. */
export async function openLogFiles(options: LogFilesOptions): Promise<LogFiles> {
  const { path, chainKey } = options;
  const indexPath = options.indexPath ?? defaultIndexPath(path);
  checkLogFiles(options);
  await openStep(path, () => refuseLeftovers(options));
  const opened: { close(): Promise<void> }[] = [];
  const create = async (name: string): Promise<LogFile> => {
    const file = await LogFile.create(name);
    opened.push(file);
    return file;
  };
  try {
    const log = await openStep(path, () => create(path));
    await openStep(path, () => removeFurtherSegments(path));
    const index = await LogIndex.create(indexPath);
    opened.push(index);
    const chain =
      chainKey === undefined
        ? undefined
        : await openStep(chainPath(path), async () =>
            LogChain.begin(await create(chainPath(path)), chainKey),
          );
    return { log, index, chain };
  } catch (error) {
    for (const file of opened) await file.close();
    throw error;
  }
}

/** Whether the files of a log can be such, before any of them is touched. @throws {EventLogError} */
export function checkLogFiles({ path, indexPath = defaultIndexPath(path), chainKey }: LogFilesOptions): void {
  checkPaths([path, indexPath, ...(chainKey === undefined ? [] : [chainPath(path)])]);
  checkKey(path, chainKey);
}

function checkPaths(paths: readonly string[]): void {
  const known = new Set<string>();
  for (const path of paths) {
    if (path.trim() === '')
      throw new EventLogError('path_empty', path, 'the event log needs a path; "" is none');
    const place = resolve(path);
    if (known.has(place)) {
      const message = `log, index and chain cannot share ${JSON.stringify(path)}`;
      throw new EventLogError('path_shared', path, message);
    }
    known.add(place);
  }
}

function checkKey(path: string, key: Uint8Array | undefined): void {
  if (key === undefined || key.length >= shortestChainKey) return;
  const message = `the key of the event log's chain has ${key.length} bytes; give at least ${shortestChainKey}`;
  throw new EventLogError('key_unusable', path, message);
}

async function refuseLeftovers({ path, leftovers }: LogFilesOptions): Promise<void> {
  if (leftovers !== 'refuse') return;
  const found = await findLeftover(path);
  if (found === undefined) return;
  const message = `an earlier run left ${JSON.stringify(found)}: move it away, or let the log replace it`;
  throw new EventLogError('leftovers', found, message);
}
