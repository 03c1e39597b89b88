// A folder that looks like /proc, with whatever processes and sockets a test wants, and with refusals on demand: the tests run
// as root, whom the file system refuses nothing.
import { mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { SocketEndpoint } from 'mitm-core';

import { temporaryDirectory } from '../../../../testing/lab/temporary.ts';
import { ProcFolder } from '../../src/process/proc-files.ts';
import { encodeEndpoint, type SocketTable } from '../../src/process/proc-net.ts';
import type { TcpFamily } from '../../src/process/source.ts';

export interface FakeProcess {
  readonly pid: number;
  readonly comm?: string;
  readonly parentPid?: number;
  readonly startTime?: number;
  readonly exe?: string;
  /** Inodes, the first with descriptor 3. */
  readonly sockets?: readonly number[];
  /** Number of its network namespace; the proxy's is 1. */
  readonly namespace?: number;
}

/** A socket of a table: who holds it, by inode, and which ends it has. */
export interface FakeSocket {
  readonly near: SocketEndpoint;
  readonly far: SocketEndpoint;
  readonly inode: number;
  readonly uid?: number;
}

/** `/proc` in a temporary directory. */
export class FakeProc extends ProcFolder implements AsyncDisposable {
  readonly path: string;
  /** Paths that answer with an error code, e.g. `7/fd` with `EACCES`. */
  readonly faults: Map<string, string>;
  /** Every folder that was listed, in this order. */
  readonly listed: string[];
  /** What happens while descriptors are being listed. */
  meanwhile: (() => void) | undefined;
  readonly #dispose: () => Promise<void>;

  static async make(): Promise<FakeProc> {
    const directory = await temporaryDirectory('fake-proc-');
    return new FakeProc(directory.path, async () => {
      await directory[Symbol.asyncDispose]();
    });
  }

  private constructor(path: string, dispose: () => Promise<void>) {
    super(path);
    this.path = path;
    this.faults = new Map();
    this.listed = [];
    this.meanwhile = undefined;
    this.#dispose = dispose;
    this.write('loadavg', '0.00 0.00 0.00 1/100 999\n');
    this.sockets('net', 'tcp', []);
    this.sockets('net', 'tcp6', []);
    mkdirSync(join(path, 'self/ns'), { recursive: true });
    symlinkSync('net:[1]', join(path, 'self/ns/net'));
  }

  write(name: string, text: string): void {
    mkdirSync(join(this.path, name, '..'), { recursive: true });
    writeFileSync(join(this.path, name), text);
  }

  add(process: FakeProcess): void {
    const { pid, comm = 'client', parentPid = 1, startTime = 100, sockets = [], namespace = 1 } = process;
    const zeros = Array.from({ length: 17 }, () => '0').join(' ');
    this.write(`${pid}/stat`, `${pid} (${comm}) S ${parentPid} ${zeros} ${startTime} 0 0\n`);
    const folder = join(this.path, String(pid));
    mkdirSync(join(folder, 'fd'));
    mkdirSync(join(folder, 'ns'));
    symlinkSync(`net:[${namespace}]`, join(folder, 'ns/net'));
    if (process.exe !== undefined) symlinkSync(process.exe, join(folder, 'exe'));
    symlinkSync('/dev/null', join(folder, 'fd/0'));
    for (const [index, inode] of sockets.entries()) {
      symlinkSync(`socket:[${inode}]`, join(folder, `fd/${index + 3}`));
    }
  }

  remove(pid: number): void {
    rmSync(join(this.path, String(pid)), { recursive: true });
  }

  /** Writes a table as the kernel does. */
  sockets(folder: string, table: SocketTable, sockets: readonly FakeSocket[]): void {
    const rows = sockets.map(({ near, far, inode, uid = 0 }, index) => {
      const ends = `${encodeEndpoint(near, table)} ${encodeEndpoint(far, table)}`;
      return `${String(index).padStart(4)}: ${ends} 01 00000000:00000000 00:00000000 00000000 ${String(uid).padStart(5)}        0 ${inode} 1 0 20 4 30 10 -1`;
    });
    this.write(`${folder}/${table}`, `${['  sl  local_address rem_address   st', ...rows].join('\n')}\n`);
  }

  override async list(path: string): Promise<readonly string[]> {
    this.#fail(path);
    return super.list(path);
  }

  /** As /proc counts; folders elsewhere have another idea of their size. */
  override descriptorCount(path: string): number {
    return readdirSync(join(this.path, path)).length;
  }

  override listDescriptors(path: string): readonly string[] | Promise<readonly string[]> {
    this.listed.push(path);
    this.meanwhile?.();
    this.#fail(path);
    return super.listDescriptors(path);
  }

  override link(path: string): string {
    this.#fail(path);
    return super.link(path);
  }

  override text(path: string): string {
    this.#fail(path);
    return super.text(path);
  }

  override pieces(path: string): AsyncGenerator<Buffer, void> {
    this.#fail(path);
    return super.pieces(path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dispose();
  }

  #fail(path: string): void {
    const code = this.faults.get(path);
    if (code !== undefined) throw Object.assign(new Error(`${code}: ${path}`), { code });
  }
}

/** A connection from `client` to the proxy, e.g. `127.0.0.1 40000`. */
export function clientOf(client: string, proxy = '127.0.0.1 8080'): TcpFamily {
  const remote = endpoint(client);
  return { kind: remote.address.includes(':') ? 'tcp_v6' : 'tcp_v4', local: endpoint(proxy), remote };
}

/** The client's socket of a connection. */
export function clientSocket({ remote, local }: TcpFamily, inode: number, uid = 0): FakeSocket {
  return { near: remote, far: local, inode, uid };
}

/** A signal that nobody aborts. */
export function unhurried(): AbortSignal {
  return new AbortController().signal;
}

function endpoint(text: string): SocketEndpoint {
  const [address = '', port] = text.split(' ');
  return { address, port: Number(port) };
}
