// Finds the process that holds a socket, by the links in `/proc/PID/fd`. Processes that held one lately are looked at first, then
// all others, the youngest first.
import { Batch } from './batch.ts';
import { isRefusal, isVanished, type ProcFiles } from './proc-files.ts';
import { newestFirst, parseLastPid } from './proc-stat.ts';
import { TimeSlice } from './time-slice.ts';

/** How many processes are looked at before the others. */
const REMEMBERED_COUNT = 16;

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
  /** The latest last. */
  #remembered: readonly number[];

  constructor(files: ProcFiles, ownPid: number = process.pid) {
    this.#files = files;
    this.#ownPid = ownPid;
    this.#known = new Batch((inodes, signal) => this.#searchRemembered(inodes, signal));
    this.#all = new Batch((inodes, signal) => this.#searchAll(inodes, signal));
    this.#remembered = [];
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
    await this.#look(this.#remembered.toReversed(), hunt);
    return inodes.map((inode) => hunt.pids.get(linkTarget(inode)));
  }

  async #searchAll(inodes: readonly number[], signal: AbortSignal): Promise<readonly OwnerSearch[]> {
    const hunt = beginHunt(inodes, signal);
    const lastPid = parseLastPid(this.#files.text('loadavg'));
    const pids = newestFirst(await this.#files.list('.'), lastPid).filter((pid) => pid !== this.#ownPid);
    // Our own process last: it has most sockets, and is seldom its own client.
    await this.#look([...pids, this.#ownPid], hunt);
    return inodes.map((inode) => {
      const pid = hunt.pids.get(linkTarget(inode));
      return pid === undefined ? { pid, wasRefused: hunt.wasRefused } : { pid };
    });
  }

  async #look(pids: Iterable<number>, hunt: Hunt): Promise<void> {
    for (const pid of pids) {
      if (hunt.wanted.size === 0) return;
      if (hunt.slice.isOver) await hunt.slice.giveWay();
      const foundBefore = hunt.pids.size;
      try {
        await this.#lookInto(pid, hunt);
      } catch (error) {
        if (isRefusal(error)) hunt.wasRefused = true;
        else if (!isVanished(error)) throw error;
      }
      if (hunt.pids.size > foundBefore) this.#remember(pid);
    }
  }

  /** From the last descriptor, since a fresh connection more often has a high one. */
  async #lookInto(pid: number, hunt: Hunt): Promise<void> {
    const folder = `${pid}/fd`;
    const listed = this.#files.listDescriptors(folder);
    const names = listed instanceof Promise ? await listed : listed;
    for (const name of names.toReversed()) {
      if (hunt.slice.isOver) await hunt.slice.giveWay();
      const target = this.#target(`${folder}/${name}`);
      if (target === undefined || !hunt.wanted.delete(target)) continue;
      hunt.pids.set(target, pid);
      if (hunt.wanted.size === 0) return;
    }
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

  #remember(pid: number): void {
    if (this.#remembered.at(-1) === pid) return;
    this.#remembered = [
      ...this.#remembered.filter((known) => known !== pid).slice(1 - REMEMBERED_COUNT),
      pid,
    ];
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
