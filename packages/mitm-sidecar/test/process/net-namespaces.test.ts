// Clients in other network namespaces, told from those of other machines.
import { rmSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, test, vi } from 'vitest';

import { NetNamespaces } from '../../src/process/net-namespaces.ts';
import { clientOf, clientSocket, FakeProc, unhurried } from './fake-proc.ts';

const container = clientOf('172.17.0.2 40000', '172.17.0.1 8080');
const container6 = clientOf('2001:db8::2 40000', '2001:db8::1 8080');
const elsewhere = clientOf('192.0.2.9 40000', '192.0.2.1 8080');

function fibTrie(address: string): string {
  return `Main:\n     |-- ${address}\n        /32 host LOCAL\n`;
}

/** Our own namespace, one with the container's addresses, and one with others. */
async function threeNamespaces(): Promise<FakeProc> {
  const proc = await FakeProc.make();
  proc.add({ pid: 1 });
  proc.add({ pid: 20, namespace: 2 });
  proc.add({ pid: 21, namespace: 2 });
  proc.add({ pid: 30, namespace: 3 });
  proc.write('20/net/fib_trie', fibTrie('172.17.0.2'));
  proc.write('20/net/if_inet6', '20010db8000000000000000000000002 01 80 10 80 eth0\n');
  proc.sockets('20/net', 'tcp', [clientSocket(container, 7, 1_000)]);
  proc.sockets('20/net', 'tcp6', [clientSocket(container6, 8)]);
  proc.write('30/net/fib_trie', fibTrie('172.17.0.3'));
  return proc;
}

describe.skipIf(process.platform === 'win32')('a client with an address that is not ours', () => {
  test('is found in the namespace that has it', async () => {
    await using proc = await threeNamespaces();
    const namespaces = new NetNamespaces(proc);
    const found = [container6, container, elsewhere].map((family) => namespaces.find(family, unhurried()));
    expect(await Promise.all(found)).toEqual([{ inode: 8, uid: 0 }, { inode: 7, uid: 1_000 }, 'remote']);
  });

  test('has gone when its namespace does not know the socket', async () => {
    await using proc = await threeNamespaces();
    const other = clientOf('172.17.0.2 40001', '172.17.0.1 8080');
    expect(await new NetNamespaces(proc).find(other, unhurried())).toBeUndefined();
  });

  test('is remote for a while, without another search', async () => {
    await using proc = await threeNamespaces();
    const namespaces = new NetNamespaces(proc);
    expect(await namespaces.find(elsewhere, unhurried())).toBe('remote');
    const list = vi.spyOn(proc, 'list');
    expect(await namespaces.find(clientOf('192.0.2.9 40001'), unhurried())).toBe('remote');
    expect(list).not.toHaveBeenCalled();
    vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 60_000);
    expect(await namespaces.find(elsewhere, unhurried())).toBe('remote');
    expect(list).toHaveBeenCalledTimes(1);
  });

  test('makes all processes be searched ten times a second at most', async () => {
    await using proc = await threeNamespaces();
    const namespaces = new NetNamespaces(proc);
    await namespaces.find(elsewhere, unhurried());
    const since = performance.now();
    expect(await namespaces.find(container, unhurried())).toEqual({ inode: 7, uid: 1_000 });
    expect(performance.now() - since).toBeGreaterThan(80);
    const leaving = AbortSignal.timeout(5);
    await expect(namespaces.find(container, leaving)).rejects.toThrow('aborted');
  });

  test('is remote where namespaces can not be read, or have no IPv6, or end meanwhile', async () => {
    await using proc = await threeNamespaces();
    proc.faults.set('20/ns/net', 'EACCES');
    proc.faults.set('21/ns/net', 'ENOENT');
    rmSync(join(proc.path, '30/net'), { recursive: true });
    expect(await new NetNamespaces(proc).find(container, unhurried())).toBe('remote');
  });

  test('has gone when its namespace ends while its tables are read', async () => {
    await using proc = await threeNamespaces();
    proc.faults.set('20/net/tcp', 'ENOENT');
    expect(await new NetNamespaces(proc).find(container, unhurried())).toBeUndefined();
  });

  test('whose address is none is remote', async () => {
    await using proc = await threeNamespaces();
    expect(await new NetNamespaces(proc).find(clientOf('nonsense 1'), unhurried())).toBe('remote');
  });
});

describe.skipIf(process.platform === 'win32')('an error that says nothing about a process', () => {
  test.each(['20/ns/net', '20/net/fib_trie', '20/net/tcp'])('of %s is passed on', async (path) => {
    await using proc = await threeNamespaces();
    proc.faults.set(path, 'EMFILE');
    await expect(new NetNamespaces(proc).find(container, unhurried())).rejects.toThrow('EMFILE');
  });
});

test.skipIf(process.platform === 'win32')('at most 4096 remote addresses are remembered', async () => {
  await using proc = await FakeProc.make();
  const namespaces = new NetNamespaces(proc);
  const families = Array.from({ length: 4_097 }, (_, i) => clientOf(`10.0.${i >> 8}.${i & 255} 40000`));
  await Promise.all(families.map((family) => namespaces.find(family, unhurried())));
  const list = vi.spyOn(proc, 'list');
  const [first, second] = families;
  if (first === undefined || second === undefined) throw new Error('no families');
  await namespaces.find(second, unhurried());
  expect(list).not.toHaveBeenCalled();
  await namespaces.find(first, unhurried());
  expect(list).toHaveBeenCalledTimes(1);
});
