// Process attribution on Windows: one run of PowerShell lists connections and processes, and answers all connections that
// wait for it. It takes up to a second, which is why nothing may wait for it that need not.
import type { ProcessInfo } from 'mitm-core';

import { Batch } from './batch.ts';
import { runCommand, type CommandRunner } from './command.ts';
import { OwnAddresses } from './own-addresses.ts';
import { connectionKey, findClient, type ListedProcess, type Snapshot } from './snapshot.ts';
import type { ProcessSource, Sighting, TcpFamily } from './source.ts';

/** Writes a line a connection (C) and a line a process (P), the columns separated by tabs, which no Windows path can hold. */
const script = `
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
[Console]::OutputEncoding = New-Object System.Text.UTF8Encoding $false
Get-NetTCPConnection -State Established -ErrorAction SilentlyContinue | ForEach-Object {
  "C", $_.LocalAddress, $_.LocalPort, $_.RemoteAddress, $_.RemotePort, $_.OwningProcess -join "\`t"
}
Get-CimInstance Win32_Process -Property ProcessId,ParentProcessId,CreationDate,Name,ExecutablePath | ForEach-Object {
  $started = if ($_.CreationDate) { $_.CreationDate.ToFileTimeUtc() } else { 0 }
  "P", $_.ProcessId, $_.ParentProcessId, $started, $_.Name, $_.ExecutablePath -join "\`t"
}
`;

/** Encoded, so that no quoting rule applies on the way (PowerShell reads UTF-16LE in Base64). */
export const powershellArguments: readonly string[] = [
  '-NoLogo',
  '-NoProfile',
  '-NonInteractive',
  '-EncodedCommand',
  Buffer.from(script, 'utf16le').toString('base64'),
];

export interface WindowsProcessesOptions {
  readonly ownAddresses?: OwnAddresses;
  readonly run?: CommandRunner;
}

/** Looks processes up with PowerShell. The path of another user's process is known to administrators only. */
export class WindowsProcesses implements ProcessSource {
  readonly #ownAddresses: OwnAddresses;
  readonly #snapshots: Batch<undefined, Snapshot>;

  constructor(options: WindowsProcessesOptions = {}) {
    const run = options.run ?? runCommand;
    const systemRoot = process.env['SystemRoot'] ?? 'C:\\Windows';
    const program = `${systemRoot}\\System32\\WindowsPowerShell\\v1.0\\powershell.exe`;
    this.#ownAddresses = options.ownAddresses ?? new OwnAddresses();
    this.#snapshots = new Batch(async (questions, signal) => {
      const snapshot = parseWindowsListing(await run(program, powershellArguments, signal));
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
      startToken: client.started,
      describe: () => Promise.resolve(describe(client, snapshot.processes.get(client.parentPid))),
    };
  }
}

/** Reads the listing that our script writes. Lines of another form are passed over. */
export function parseWindowsListing(output: string): Snapshot {
  const connections = new Map<string, number>();
  const processes = new Map<number, ListedProcess>();
  for (const line of output.split(/\r?\n/)) {
    const [kind, ...columns] = line.split('\t');
    if (kind === 'C') addConnection(connections, columns);
    else if (kind === 'P') addProcess(processes, columns);
  }
  return { connections, processes };
}

function addConnection(connections: Map<string, number>, columns: readonly string[]): void {
  const [near = '', nearPort, far = '', farPort, pid = ''] = columns;
  if (!/^\d+$/.test(pid)) return;
  const key = connectionKey(
    { address: near, port: Number(nearPort) },
    { address: far, port: Number(farPort) },
  );
  if (key !== undefined) connections.set(key, Number(pid));
}

function addProcess(processes: Map<number, ListedProcess>, columns: readonly string[]): void {
  const [pid = '', parent = '', started = '', name = '', path = ''] = columns;
  if (!/^\d+$/.test(pid)) return;
  processes.set(Number(pid), {
    pid: Number(pid),
    parentPid: Number(parent),
    started,
    ...(name === '' ? {} : { name }),
    ...(path === '' ? {} : { path }),
  });
}

function describe(client: ListedProcess, listedParent: ListedProcess | undefined): ProcessInfo {
  // Windows keeps the pid of a parent that has ended, and may have given it to a younger process since.
  const isParent =
    client.parentPid !== 0 &&
    listedParent !== undefined &&
    Number(listedParent.started) <= Number(client.started);
  return {
    pid: client.pid,
    ...(client.name === undefined ? {} : { exeName: client.name }),
    ...(client.path === undefined ? {} : { exePath: client.path }),
    ...(client.parentPid === 0 ? {} : { parentPid: client.parentPid }),
    ...(isParent && listedParent.name !== undefined ? { parentProcessName: listedParent.name } : {}),
  };
}
