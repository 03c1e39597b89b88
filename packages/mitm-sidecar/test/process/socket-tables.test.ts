// Which tables are read for which connections.
import { rmSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { findSockets } from '../../src/process/socket-tables.ts';
import { clientOf, clientSocket, FakeProc, unhurried } from './fake-proc.ts';

const ipv4 = clientOf('127.0.0.1 40000');
const mapped = clientOf('127.0.0.1 40001');
const ipv6 = clientOf('::1 40002', '::1 8080');
const gone = clientOf('127.0.0.1 40003');

describe.skipIf(process.platform === 'win32')('the tables of a namespace', () => {
  test('PA-20 IPv4 clients are looked for in both, IPv6 clients in one, all in one go', async () => {
    await using proc = await FakeProc.make();
    proc.sockets('net', 'tcp', [clientSocket(ipv4, 11, 7)]);
    proc.sockets('net', 'tcp6', [clientSocket(ipv6, 12), clientSocket(mapped, 13)]);
    const rows = await findSockets(proc, 'net', [ipv6, gone, mapped, ipv4], unhurried());
    expect(rows).toEqual([{ inode: 12, uid: 0 }, undefined, { inode: 13, uid: 0 }, { inode: 11, uid: 7 }]);
  });

  test('no table is read that can bring nothing more', async () => {
    await using proc = await FakeProc.make();
    proc.sockets('net', 'tcp', [clientSocket(ipv4, 11)]);
    proc.faults.set('net/tcp6', 'EIO');
    expect(await findSockets(proc, 'net', [ipv4], unhurried())).toEqual([{ inode: 11, uid: 0 }]);
    proc.faults.clear();
    proc.faults.set('net/tcp', 'EIO');
    proc.sockets('net', 'tcp6', [clientSocket(ipv6, 12)]);
    expect(await findSockets(proc, 'net', [ipv6], unhurried())).toEqual([{ inode: 12, uid: 0 }]);
  });

  test('a kernel without IPv6 has no second table', async () => {
    await using proc = await FakeProc.make();
    rmSync(join(proc.path, 'net/tcp6'));
    expect(await findSockets(proc, 'net', [gone], unhurried())).toEqual([undefined]);
  });

  test('a table that cannot be read is an error', async () => {
    await using proc = await FakeProc.make();
    proc.faults.set('net/tcp6', 'EIO');
    await expect(findSockets(proc, 'net', [gone], unhurried())).rejects.toThrow('EIO');
  });

  test('reading ends when nobody wants it any more', async () => {
    await using proc = await FakeProc.make();
    await expect(findSockets(proc, 'net', [ipv4], AbortSignal.abort(new Error('gone')))).rejects.toThrow(
      'gone',
    );
  });
});
