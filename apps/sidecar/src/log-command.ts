// `soth-mitm log`: shows, checks and repairs event logs of earlier runs. It opens nothing for writing but an index.
import { readFile } from 'node:fs/promises';

import {
  EventLogReader,
  logFaultKinds,
  type LogVerdict,
  rebuildEventLogIndex,
  verifyEventLog,
} from 'soth-mitm';

import type { LogCommand, LogFlags } from './log-arguments.ts';
import type { ExitClass } from './status.ts';

/** Where its words go. */
export interface LogSurroundings {
  readonly writeOut: (text: string) => void;
}

/** A file that `log` was given and that can't be read; the message names it. */
export class LogCommandError extends Error {
  override readonly name = 'LogCommandError';
}

/**
 * Does what was asked for with a log.
 *
 * @throws EventLogError for a log that can't be read; LogCommandError for a key that can't
 */
export async function runLogCommand(
  { action, flags }: Extract<LogCommand, { kind: 'log' }>,
  { writeOut }: LogSurroundings,
): Promise<ExitClass> {
  switch (action) {
    case 'show':
      return show(flags, writeOut);
    case 'verify':
      return verify(flags, writeOut);
    case 'index':
      return index(flags, writeOut);
  }
}

async function show(flags: LogFlags, writeOut: (text: string) => void): Promise<ExitClass> {
  const reader = new EventLogReader({ path: flags.path, indexPath: flags.index });
  for await (const record of reader.records({ fromSequenceId: flags.from, flowId: flags.flow })) {
    writeOut(`${JSON.stringify(record)}\n`);
  }
  return 'ok';
}

async function verify(flags: LogFlags, writeOut: (text: string) => void): Promise<ExitClass> {
  const verdict = await verifyEventLog(flags.path, await Promise.all(flags.keys.map(readKey)));
  writeOut(verdictText(verdict));
  return verdict.isIntact ? 'ok' : 'log_not_intact';
}

async function index(
  { path, index: indexPath }: LogFlags,
  writeOut: (text: string) => void,
): Promise<ExitClass> {
  const { rowCount, tornBytes } = await rebuildEventLogIndex({ path, indexPath });
  writeOut(`${rowCount} lines are in the index; ${tornBytes} bytes at ends of files are no whole line\n`);
  return 'ok';
}

async function readKey(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : cause;
    throw new LogCommandError(`the key ${path} cannot be read (${String(code)}): check --key`, { cause });
  }
}

function verdictText({ isIntact, isComplete, lineCount, unaccountedBytes, faults }: LogVerdict): string {
  const lines = faults.map(({ kind, segment, byteOffset }) => {
    const place = segment === undefined ? '' : ` (file ${segment}, byte ${byteOffset ?? 0})`;
    return `${kind}${place}: ${logFaultKinds[kind]}`;
  });
  const beginning = isIntact ? 'intact' : 'not intact';
  const end = isComplete ? 'closed in order' : 'not closed in order: lines may be missing at the end';
  const unaccounted = unaccountedBytes === 0 ? '' : `; nothing vouches for ${unaccountedBytes} bytes`;
  return [
    `${beginning}: ${lineCount} lines are as they were written; ${end}${unaccounted}`,
    ...lines,
    '',
  ].join('\n');
}
