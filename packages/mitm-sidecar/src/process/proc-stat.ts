// Reads the small texts of `/proc`: a process's state, the last pid given out, and the addresses of a network namespace.
// Pure functions.
import { addressKey } from './address.ts';

/** What `/proc/PID/stat` says, as far as it is of use here. */
export interface ProcStat {
  readonly comm: string;
  readonly parentPid: number;
  /** Clock ticks since boot, as text (field 22): with the pid it names one process for good. */
  readonly startTime: string;
}

/**
 * Parses `/proc/PID/stat`. The name may hold spaces and parentheses, so the fields are counted from the last `)`.
 * `undefined` when the text is not of that form.
 */
export function parseProcStat(text: string): ProcStat | undefined {
  const open = text.indexOf('(');
  const close = text.lastIndexOf(')');
  if (open < 0 || close < open) return undefined;
  // Behind the name: state (field 3), parent (4), …, start time (22).
  const fields = text
    .slice(close + 1)
    .trim()
    .split(/\s+/);
  const parentPid = Number(fields[1]);
  const startTime = fields[19];
  if (startTime === undefined || !/^\d+$/.test(startTime) || !Number.isInteger(parentPid)) return undefined;
  return { comm: text.slice(open + 1, close), parentPid, startTime };
}

/** The pid that was given out last, from `/proc/loadavg`; 0 when the text is of another form. */
export function parseLastPid(loadavg: string): number {
  const last = /\s(\d+)\s*$/.exec(loadavg)?.[1];
  return last === undefined ? 0 : Number(last);
}

/**
 * The pids in a listing of `/proc`, youngest first. They are given out in rising order until they start anew from the
 * bottom, so those above the last one given out are the oldest.
 */
export function newestFirst(names: readonly string[], lastPid: number): number[] {
  const pids: number[] = [];
  for (const name of names) {
    const first = name.charCodeAt(0);
    if (first >= 49 && first <= 57) pids.push(Number(name));
  }
  const age = (pid: number): number => (pid <= lastPid ? lastPid - pid : lastPid + 2 ** 31 - pid);
  return pids.toSorted((a, b) => age(a) - age(b));
}

/** Keys of the IPv4 addresses that `/proc/net/fib_trie` calls local hosts. */
export function parseFibTrie(text: string): ReadonlySet<string> {
  const keys = new Set<string>();
  let address: string | undefined;
  for (const line of text.split('\n')) {
    const leaf = /\|-- (\S+)/.exec(line)?.[1];
    if (leaf !== undefined) address = leaf;
    else if (address !== undefined && line.includes('/32 host LOCAL')) {
      const key = addressKey(address);
      if (key !== undefined) keys.add(key);
    }
  }
  return keys;
}

/** Keys of the IPv6 addresses in `/proc/net/if_inet6`. */
export function parseIfInet6(text: string): ReadonlySet<string> {
  const keys = new Set<string>();
  for (const line of text.split('\n')) {
    const hex = /^[\da-f]{32}\b/i.exec(line)?.[0];
    const key = hex === undefined ? undefined : addressKey(hex.replaceAll(/.{4}(?!$)/g, '$&:'));
    if (key !== undefined) keys.add(key);
  }
  return keys;
}
