// Process attribution on Linux: the client's end of the connection names a socket, a link in some process's `fd` folder holds that
// socket, and the process's own entries describe it. `/proc` tells all of it; where koffi is installed, the kernel is asked for the
// socket instead, and for the peer of a Unix socket.
import { basename } from 'node:path';
import type { Duplex } from 'node:stream';

import type { ProcessInfo } from 'mitm-core';

import { type CLibrary, loadCLibrary } from '../native/c-library.ts';
import { Batch } from './batch.ts';
import { NetNamespaces } from './net-namespaces.ts';
import { OwnAddresses } from './own-addresses.ts';
import { peerPid } from './peer-credentials.ts';
import { isRefusal, isVanished, ProcFolder, type ProcFiles } from './proc-files.ts';
import type { SocketRow } from './proc-net.ts';
import { parseProcStat, type ProcStat } from './proc-stat.ts';
import { SocketDiagnosis } from './sock-diag.ts';
import { SocketOwners } from './socket-owners.ts';
import { findSockets } from './socket-tables.ts';
import type { ProcessSource, Sighting, TcpFamily } from './source.ts';
import { TimeSlice } from './time-slice.ts';

export interface LinuxProcessesOptions {
  /** `/proc` unless given. */
  readonly files?: ProcFiles;
  /** This machine's addresses. */
  readonly ownAddresses?: OwnAddresses;
  /** The user that this process acts as; who is not root may not see everything. */
  readonly uid?: number;
  /** How the system is asked beside `/proc`; by koffi unless given, and not at all where it rejects. */
  readonly load?: () => Promise<CLibrary>;
}

interface Native {
  readonly library: CLibrary;
  readonly diagnosis: SocketDiagnosis;
}

const deletedMark = ' (deleted)';

/** Looks processes up in `/proc`. */
export class LinuxProcesses implements ProcessSource {
  readonly #files: ProcFiles;
  readonly #ownAddresses: OwnAddresses;
  readonly #uid: number;
  readonly #load: () => Promise<CLibrary>;
  /** Begun with the first question. */
  #native: Promise<Native | undefined> | undefined;
  #isClosed: boolean;
  readonly #tables: Batch<TcpFamily, SocketRow | undefined>;
  readonly #namespaces: NetNamespaces;
  readonly #owners: SocketOwners;
  readonly #sightings: Batch<number, Sighting>;

  constructor(options: LinuxProcessesOptions = {}) {
    this.#files = options.files ?? new ProcFolder();
    this.#ownAddresses = options.ownAddresses ?? new OwnAddresses();
    this.#uid = options.uid ?? process.geteuid?.() ?? 0;
    this.#load = options.load ?? loadCLibrary;
    this.#native = undefined;
    this.#isClosed = false;
    // The kernel writes whole tables, connections that are over included: what opens many gets them read for many at once.
    this.#tables = new Batch((families, signal) => findSockets(this.#files, 'net', families, signal), {
      restFactor: 4,
    });
    this.#namespaces = new NetNamespaces(this.#files);
    this.#owners = new SocketOwners(this.#files);
    this.#sightings = new Batch((pids, signal) => this.#sightAll(pids, signal));
  }

  async find(family: TcpFamily, signal: AbortSignal): Promise<Sighting> {
    const native = await this.#nativeCalls();
    const socket = await this.#socket(family, native, signal);
    if (socket === 'remote') return { kind: 'remote' };
    if (socket === undefined || socket.inode === 0) return { kind: 'not_found' };
    const owner = await this.#owners.find(socket.inode, signal);
    if (owner.pid !== undefined) return this.#sightings.ask(owner.pid, signal);
    // A program that lives for a moment has often closed it by now, and nobody hides it then.
    const now = await this.#socket(family, native, signal);
    if (now === 'remote' || now?.inode !== socket.inode) return { kind: 'not_found' };
    // Where /proc is mounted with hidepid, processes of others are not even refused, but absent.
    const isOfAnother = this.#uid !== 0 && socket.uid !== this.#uid;
    return { kind: owner.wasRefused || isOfAnother ? 'not_permitted' : 'not_found' };
  }

  async findPeer(stream: Duplex): Promise<Sighting | undefined> {
    const native = await this.#nativeCalls();
    const pid = native === undefined ? undefined : peerPid(stream, native.library);
    return pid === undefined ? undefined : this.#sight(pid);
  }

  close(): void {
    this.#isClosed = true;
    void this.#native?.then((native) => native?.diagnosis.close());
  }

  #nativeCalls(): Promise<Native | undefined> {
    this.#native ??= this.#load().then(
      (library) => (this.#isClosed ? undefined : { library, diagnosis: new SocketDiagnosis(library) }),
      // It is optional: without it the tables are read.
      () => undefined,
    );
    return this.#native;
  }

  async #socket(
    family: TcpFamily,
    native: Native | undefined,
    signal: AbortSignal,
  ): Promise<SocketRow | 'remote' | undefined> {
    if (!this.#ownAddresses.isClientOf(family)) return await this.#namespaces.find(family, signal);
    const socket = native?.diagnosis.find(family);
    if (socket === undefined) return await this.#tables.ask(family, signal);
    return socket === 'absent' ? undefined : socket;
  }

  /** Each process once, however many of its connections were found together. */
  async #sightAll(pids: readonly number[], signal: AbortSignal): Promise<readonly Sighting[]> {
    const slice = new TimeSlice(signal);
    const sightings = new Map<number, Sighting>();
    for (const pid of new Set(pids)) {
      if (slice.isOver) await slice.giveWay();
      sightings.set(pid, this.#sight(pid));
    }
    return pids.map((pid) => sightings.get(pid) ?? { kind: 'not_found' });
  }

  #sight(pid: number): Sighting {
    const stat = this.#stat(pid);
    if (stat === undefined) return { kind: 'not_found' };
    const path = this.#exePath(pid);
    return {
      kind: 'owner',
      pid,
      // A process keeps pid and start time when it becomes another program (execve).
      startToken: `${stat.startTime} ${path ?? stat.comm}`,
      describe: () => Promise.resolve(this.#describe(pid, stat, path)),
    };
  }

  #describe(pid: number, stat: ProcStat, exePath: string | undefined): ProcessInfo {
    const { parentPid } = stat;
    // 0: the first process, or one whose parent is outside of our pid namespace.
    const parentName = parentPid === 0 ? undefined : this.#name(parentPid);
    return {
      pid,
      exeName: exePath === undefined ? stat.comm : basename(exePath),
      ...(exePath === undefined ? {} : { exePath }),
      ...(parentPid === 0 ? {} : { parentPid }),
      ...(parentName === undefined ? {} : { parentProcessName: parentName }),
    };
  }

  /** The file's name; where it may not be read, the short name, which programs can change (Node calls its own `MainThread`). */
  #name(pid: number): string | undefined {
    const path = this.#exePath(pid);
    return path === undefined ? this.#stat(pid)?.comm : basename(path);
  }

  #stat(pid: number): ProcStat | undefined {
    try {
      return parseProcStat(this.#files.text(`${pid}/stat`));
    } catch (error) {
      if (isVanished(error) || isRefusal(error)) return undefined;
      throw error;
    }
  }

  #exePath(pid: number): string | undefined {
    try {
      const path = this.#files.link(`${pid}/exe`);
      return path.endsWith(deletedMark) ? path.slice(0, -deletedMark.length) : path;
    } catch (error) {
      if (isVanished(error) || isRefusal(error)) return undefined;
      throw error;
    }
  }
}
