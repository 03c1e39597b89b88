// Finds the process that holds a socket, by the links in `/proc/PID/fd`. Processes that held one lately are looked at first, and in
// these the descriptors around the last one; then all others, the youngest first.
import { Batch } from './batch.ts';
import { isRefusal, isVanished, type ProcFiles } from './proc-files.ts';
import { newestFirst, parseLastPid } from './proc-stat.ts';
import { TimeSlice } from './time-slice.ts';

/** How many processes are looked at before the others. */
const REMEMBERED_COUNT = 16;
/** To look through more descriptors than this takes longer than to look whether a new process is there. */
const MANY_DESCRIPTORS = 256;
/** A process gives a new connection the lowest free number: often the one that was free last, or the next. */
const NUMBERS_AHEAD = 2;

/** The pid of a socket's owner; else whether there were processes into which we may not look. */
export type OwnerSearch =
  | { readonly pid: number }
  | { readonly pid: undefined; readonly wasRefused: boolean };

/** One search over processes: what is still wanted, and what was found. */
interface Hunt {
  readonly wanted: Set<string>;
  readonly pids: Map<string, number>;
  readonly slice: TimeSlice;
  wasRefused: boolean;
}

/** Searches for many sockets at once; those that come meanwhile wait for the next search. */
export class SocketOwners {
  readonly #files: ProcFiles;
  readonly #ownPid: number;
  readonly #known: Batch<number, number | undefined>;
  readonly #all: Batch<number, OwnerSearch>;
  /** The number of the descriptor that was found last, by pid; the latest last. */
  readonly #remembered: Map<number, number>;
  /** The processes that there were when all were searched last. */
  #seen: ReadonlySet<number>;

  constructor(files: ProcFiles, ownPid: number = process.pid) {
    this.#files = files;
    this.#ownPid = ownPid;
    this.#known = new Batch((inodes, signal) => this.#searchRemembered(inodes, signal));
    this.#all = new Batch((inodes, signal) => this.#searchAll(inodes, signal));
    this.#remembered = new Map();
    this.#seen = new Set();
  }

  /** @throws when `/proc` can't be listed, or the signal's reason */
  async find(inode: number, signal: AbortSignal): Promise<OwnerSearch> {
    const pid = await this.#known.ask(inode, signal);
    return pid === undefined ? this.#all.ask(inode, signal) : { pid };
  }

  async #searchRemembered(
    inodes: readonly number[],
    signal: AbortSignal,
  ): Promise<readonly (number | undefined)[]> {
    const hunt = beginHunt(inodes, signal);
    const pids = [...this.#remembered.keys()].toReversed();
    for (const pid of pids) this.#lookAround(pid, hunt);
    await this.#look(
      pids.filter((pid) => !this.#hasMany(pid)),
      hunt,
    );
    return inodes.map((inode) => hunt.pids.get(linkTarget(inode)));
  }

  async #searchAll(inodes: readonly number[], signal: AbortSignal): Promise<readonly OwnerSearch[]> {
    const hunt = beginHunt(inodes, signal);
    const lastPid = parseLastPid(this.#files.text('loadavg'));
    const pids = newestFirst(await this.#files.list('.'), lastPid).filter((pid) => pid !== this.#ownPid);
    const fresh = pids.filter((pid) => !this.#seen.has(pid));
    const remembered = [...this.#remembered.keys()].toReversed();
    this.#seen = new Set(pids);
    // Our own process last: it has most sockets, and is seldom its own client.
    await this.#look(new Set([...fresh, ...remembered, ...pids, this.#ownPid]), hunt);
    return inodes.map((inode) => {
      const pid = hunt.pids.get(linkTarget(inode));
      return pid === undefined ? { pid, wasRefused: hunt.wasRefused } : { pid };
    });
  }

  #hasMany(pid: number): boolean {
    try {
      return this.#files.descriptorCount(`${pid}/fd`) > MANY_DESCRIPTORS;
    } catch (error) {
      // What it is will be met again when its folder is listed.
      if (isVanished(error) || isRefusal(error)) return false;
      throw error;
    }
  }

  async #look(pids: Iterable<number>, hunt: Hunt): Promise<void> {
    for (const pid of pids) {
      if (hunt.wanted.size === 0) return;
      if (hunt.slice.isOver) await hunt.slice.giveWay();
      try {
        await this.#lookInto(pid, hunt);
      } catch (error) {
        if (isRefusal(error)) hunt.wasRefused = true;
        else if (!isVanished(error)) throw error;
      }
    }
  }

  /** Tries the numbers around the last one; a hit moves them on. */
  #lookAround(pid: number, hunt: Hunt): void {
    const last = this.#remembered.get(pid);
    if (last === undefined) return;
    let end = last + NUMBERS_AHEAD;
    for (let number = last; number <= end && hunt.wanted.size > 0; number++) {
      try {
        if (this.#isWanted(pid, String(number), hunt)) end = number + NUMBERS_AHEAD;
      } catch (error) {
        // It is met again when the folder is listed.
        if (isRefusal(error)) return;
        throw error;
      }
    }
  }

  /** From the last descriptor, since a fresh connection more often has a high one. */
  async #lookInto(pid: number, hunt: Hunt): Promise<void> {
    const listed = this.#files.listDescriptors(`${pid}/fd`);
    const names = listed instanceof Promise ? await listed : listed;
    for (const name of names.toReversed()) {
      if (hunt.slice.isOver) await hunt.slice.giveWay();
      if (this.#isWanted(pid, name, hunt) && hunt.wanted.size === 0) return;
    }
  }

  #isWanted(pid: number, name: string, hunt: Hunt): boolean {
    const target = this.#target(`${pid}/fd/${name}`);
    if (target === undefined || !hunt.wanted.delete(target)) return false;
    hunt.pids.set(target, pid);
    this.#remember(pid, Number(name));
    return true;
  }

  #target(link: string): string | undefined {
    try {
      return this.#files.link(link);
    } catch (error) {
      // A descriptor that was closed since the folder was listed.
      if (isVanished(error)) return undefined;
      throw error;
    }
  }

  #remember(pid: number, descriptor: number): void {
    this.#remembered.delete(pid);
    this.#remembered.set(pid, descriptor);
    if (this.#remembered.size <= REMEMBERED_COUNT) return;
    const [oldest] = this.#remembered.keys();
    if (oldest !== undefined) this.#remembered.delete(oldest);
  }
}

function beginHunt(inodes: readonly number[], signal: AbortSignal): Hunt {
  return {
    wanted: new Set(inodes.map(linkTarget)),
    pids: new Map(),
    slice: new TimeSlice(signal),
    wasRefused: false,
  };
}

function linkTarget(inode: number): string {
  return `socket:[${inode}]`;
}
