// Reads the socket tables of one network namespace for the client's end of connections.
import type { ProcFiles } from './proc-files.ts';
import { TableSearch, type SocketRow, type SocketTable } from './proc-net.ts';
import type { TcpFamily } from './source.ts';

/**
 * The sockets of these connections in the tables of `folder` (`net`, or `PID/net`), `undefined` for what is in neither table. No
 * more is read than necessary.
 * @throws when a table can't be read; a kernel without IPv6 has no `tcp6`, which is no error
 */
export async function findSockets(
  files: ProcFiles,
  folder: string,
  families: readonly TcpFamily[],
  signal: AbortSignal,
): Promise<readonly (SocketRow | undefined)[]> {
  const rows = await search(files, folder, 'tcp', families, signal);
  const rest = families.filter((_, index) => rows[index] === undefined);
  if (rest.length === 0) return rows;
  const restRows = (await searchIpv6(files, folder, rest, signal)).values();
  return rows.map((row) => row ?? restRows.next().value);
}

async function searchIpv6(
  files: ProcFiles,
  folder: string,
  families: readonly TcpFamily[],
  signal: AbortSignal,
): Promise<readonly (SocketRow | undefined)[]> {
  try {
    return await search(files, folder, 'tcp6', families, signal);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT')
      return families.map(() => undefined);
    throw error;
  }
}

async function search(
  files: ProcFiles,
  folder: string,
  table: SocketTable,
  families: readonly TcpFamily[],
  signal: AbortSignal,
): Promise<readonly (SocketRow | undefined)[]> {
  const found = new TableSearch(table, families);
  if (!found.isDone) {
    for await (const piece of files.pieces(`${folder}/${table}`)) {
      signal.throwIfAborted();
      found.push(piece);
      if (found.isDone) break;
    }
  }
  return found.rows();
}
