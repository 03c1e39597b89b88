// Reads what lsof and ps print on macOS, and property lists. Pure functions.
import { posix } from 'node:path';

import { connectionKey, type ListedProcess } from './snapshot.ts';

/** Established TCP sockets with numeric ends, as one field a line: `p` pid, `n` name. */
export const lsofArguments = ['-nP', '-w', '-iTCP', '-sTCP:ESTABLISHED', '-Fpn'] as const;

/** All processes without a heading: pid, parent, start time, path. Each `=` takes the rest of its argument, hence the repeated flag. */
export const psArguments = ['-axww', '-o', 'pid=', '-o', 'ppid=', '-o', 'lstart=', '-o', 'comm='] as const;

/**
 * The sockets in the output of `lsof -Fpn`, each under its `connectionKey`. Lines of other fields and names that are no connection
 * are passed over.
 */
export function parseLsof(output: string): ReadonlyMap<string, number> {
  const pids = new Map<string, number>();
  let pid: number | undefined;
  for (const line of output.split('\n')) {
    if (line.startsWith('p')) pid = /^p\d+$/.test(line) ? Number(line.slice(1)) : undefined;
    else if (pid !== undefined && line.startsWith('n')) {
      const key = parseSocketName(line.slice(1));
      if (key !== undefined && !pids.has(key)) pids.set(key, pid);
    }
  }
  return pids;
}

const socketName = /^(?<near>.+):(?<nearPort>\d+)->(?<far>.+):(?<farPort>\d+)$/;

function parseSocketName(name: string): string | undefined {
  const { near, nearPort, far, farPort } = socketName.exec(name)?.groups ?? {};
  if (near === undefined || far === undefined) return undefined;
  return connectionKey(
    { address: withoutBrackets(near), port: Number(nearPort) },
    { address: withoutBrackets(far), port: Number(farPort) },
  );
}

function withoutBrackets(address: string): string {
  return address.startsWith('[') && address.endsWith(']') ? address.slice(1, -1) : address;
}

const psLine =
  /^\s*(?<pid>\d+)\s+(?<parent>\d+)\s+(?<started>\w+\s+\w+\s+\d+\s+[\d:]+\s+\d+)\s+(?<path>\S.*)$/;

/** The processes in the output of ps with `psArguments`. */
export function parsePs(output: string): ReadonlyMap<number, ListedProcess> {
  const processes = new Map<number, ListedProcess>();
  for (const line of output.split('\n')) {
    const { pid, parent, started, path } = psLine.exec(line.trimEnd())?.groups ?? {};
    if (pid === undefined || started === undefined || path === undefined) continue;
    processes.set(Number(pid), {
      pid: Number(pid),
      parentPid: Number(parent),
      started,
      name: posix.basename(path),
      ...(path.startsWith('/') ? { path } : {}),
    });
  }
  return processes;
}

/** The innermost application bundle around an executable, e.g. `/Applications/X.app`; `undefined` when there is none. */
export function bundlePath(exePath: string): string | undefined {
  return /^(?<bundle>.+\.app)\/Contents\/MacOS\/[^/]+$/.exec(exePath)?.groups?.['bundle'];
}

const identifier = /<key>\s*CFBundleIdentifier\s*<\/key>\s*<string>(?<id>[^<]*)<\/string>/;
const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/** `CFBundleIdentifier` of a property list in XML; `undefined` in a binary one, or when there is none. */
export function parseBundleId(plist: string): string | undefined {
  if (plist.startsWith('bplist')) return undefined;
  const id = identifier.exec(plist.replaceAll(/<!--.*?-->/gs, ''))?.groups?.['id']?.trim();
  if (id === undefined || id === '') return undefined;
  return id.replaceAll(/&(\w+);/g, (whole, name: string) => entities[name] ?? whole);
}
