// What a process takes of the machine, read where Linux tells it: resident memory and open descriptors. On other systems tests
// that need these figures are skipped.
import { readdir, readFile } from 'node:fs/promises';

import { DeadlineError } from './deadline.ts';

/** Whether this system tells the figures at all. */
export const hasProcessUsage = process.platform === 'linux';

const samplePauseMs = 20;

function pause(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, samplePauseMs);
  });
}

/** Resident memory (`VmRSS`) in bytes. */
export async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  if (kibibytes === undefined) throw new Error(`process ${pid} tells no VmRSS`);
  return Number(kibibytes) * 1024;
}

/** How many descriptors are open: sockets, files, pipes. */
export async function descriptorCount(pid: number): Promise<number> {
  return (await readdir(`/proc/${pid}/fd`)).length;
}

/** Polls a figure until it is small enough, and answers it; a {@link DeadlineError} with the last one after `withinMs`. */
export async function untilAtMost(
  figure: () => number | Promise<number>,
  most: number,
  withinMs: number,
): Promise<number> {
  const end = performance.now() + withinMs;
  for (;;) {
    const value = await figure();
    if (value <= most) return value;
    if (performance.now() > end)
      throw new DeadlineError(`a figure of at most ${most} (it is ${value})`, withinMs);
    await pause();
  }
}

/** The most resident memory that was seen, every few milliseconds, while the work went on. */
export async function peakResidentBytes(pid: number, work: Promise<unknown>): Promise<number> {
  const done = new AbortController();
  const ended = work.finally(() => done.abort());
  ended.catch(() => {}); // told by the last await; until then nobody listens
  let peak = 0;
  do {
    peak = Math.max(peak, await residentBytes(pid));
    await pause();
  } while (!done.signal.aborted);
  await ended;
  return Math.max(peak, await residentBytes(pid));
}
