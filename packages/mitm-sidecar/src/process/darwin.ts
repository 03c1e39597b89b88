// Process attribution on macOS: one run of lsof and ps, side by side, answers all connections that wait for it.
import { readFile } from 'node:fs/promises';

import type { ProcessInfo } from 'mitm-core';

import { Batch } from './batch.ts';
import { runCommand, type CommandRunner } from './command.ts';
import {
  bundlePath,
  lsofArguments,
  parseBundleId,
  parseLsof,
  parsePs,
  psArguments,
} from './darwin-output.ts';
import { OwnAddresses } from './own-addresses.ts';
import { findClient, type ListedProcess, type Snapshot } from './snapshot.ts';
import type { ProcessSource, Sighting, TcpFamily } from './source.ts';

export interface DarwinProcessesOptions {
  readonly ownAddresses?: OwnAddresses;
  readonly run?: CommandRunner;
  /** Reads a property list as text. */
  readonly readText?: (path: string) => Promise<string>;
}

/**
 * Looks processes up with lsof and ps. What belongs to another user is visible to root only, and lsof does not tell it from a
 * socket that is gone: both are `not_found`.
 */
export class DarwinProcesses implements ProcessSource {
  readonly #ownAddresses: OwnAddresses;
  readonly #run: CommandRunner;
  readonly #readText: (path: string) => Promise<string>;
  readonly #snapshots: Batch<undefined, Snapshot>;

  constructor(options: DarwinProcessesOptions = {}) {
    this.#ownAddresses = options.ownAddresses ?? new OwnAddresses();
    this.#run = options.run ?? runCommand;
    this.#readText = options.readText ?? ((path) => readFile(path, 'utf8'));
    this.#snapshots = new Batch(async (questions, signal) => {
      const snapshot = await this.#take(signal);
      return questions.map(() => snapshot);
    });
  }

  async find(family: TcpFamily, signal: AbortSignal): Promise<Sighting> {
    if (!this.#ownAddresses.isClientOf(family)) return { kind: 'remote' };
    const snapshot = await this.#snapshots.ask(undefined, signal);
    const client = findClient(snapshot, family);
    if (client === undefined) return { kind: 'not_found' };
    return {
      kind: 'owner',
      pid: client.pid,
      startToken: `${client.started} ${client.path ?? ''}`,
      describe: () => this.#describe(client, snapshot.processes.get(client.parentPid)),
    };
  }

  async #take(signal: AbortSignal): Promise<Snapshot> {
    const [sockets, processes] = await Promise.all([
      this.#run('/usr/sbin/lsof', lsofArguments, signal),
      this.#run('/bin/ps', psArguments, signal),
    ]);
    return { connections: parseLsof(sockets), processes: parsePs(processes) };
  }

  async #describe(client: ListedProcess, parent: ListedProcess | undefined): Promise<ProcessInfo> {
    const bundleId = client.path === undefined ? undefined : await this.#bundleId(client.path);
    return {
      pid: client.pid,
      ...(bundleId === undefined ? {} : { bundleId }),
      ...(client.name === undefined ? {} : { exeName: client.name }),
      ...(client.path === undefined ? {} : { exePath: client.path }),
      ...(client.parentPid === 0 ? {} : { parentPid: client.parentPid }),
      ...(parent?.name === undefined ? {} : { parentProcessName: parent.name }),
    };
  }

  async #bundleId(exePath: string): Promise<string | undefined> {
    const bundle = bundlePath(exePath);
    if (bundle === undefined) return undefined;
    try {
      return parseBundleId(await this.#readText(`${bundle}/Contents/Info.plist`));
    } catch {
      // A bundle without a readable list has no id that we could tell; the rest is known all the same.
      return undefined;
    }
  }
}
