// The connections and processes of a machine as its own programs report them: the form that macOS and Windows output is read into,
// and the lookup in it. Pure.
import { addressKey } from './address.ts';
import type { TcpFamily } from './source.ts';

/** A process in a listing. */
export interface ListedProcess {
  readonly pid: number;
  readonly parentPid: number;
  /** Start time as the listing writes it; empty when it has none. */
  readonly started: string;
  readonly name?: string;
  readonly path?: string;
}

/** Everything that one run of the commands brought. */
export interface Snapshot {
  /** From `connectionKey`, with the local end first, to the pid. */
  readonly connections: ReadonlyMap<string, number>;
  readonly processes: ReadonlyMap<number, ListedProcess>;
}

/** One key for all spellings of a socket's two ends; `undefined` when one is no address. */
export function connectionKey(
  near: { readonly address: string; readonly port: number },
  far: { readonly address: string; readonly port: number },
): string | undefined {
  const nearKey = addressKey(near.address);
  const farKey = addressKey(far.address);
  return nearKey === undefined || farKey === undefined
    ? undefined
    : `${nearKey}:${near.port} ${farKey}:${far.port}`;
}

/** The process whose socket is the client's end of this connection. The proxy's own end is the other way round. */
export function findClient(snapshot: Snapshot, family: TcpFamily): ListedProcess | undefined {
  const key = connectionKey(family.remote, family.local);
  const pid = key === undefined ? undefined : snapshot.connections.get(key);
  if (pid === undefined) return undefined;
  return snapshot.processes.get(pid) ?? { pid, parentPid: 0, started: '' };
}
