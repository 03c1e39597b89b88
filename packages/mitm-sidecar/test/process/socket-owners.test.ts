// The order in which processes are looked at, and what it means when none holds the socket.
import { describe, expect, test } from 'vitest';

import { SocketOwners } from '../../src/process/socket-owners.ts';
import { FakeProc, unhurried } from './fake-proc.ts';

const ownPid = 50;

async function threeProcesses(): Promise<FakeProc> {
  const proc = await FakeProc.make();
  proc.add({ pid: 10, sockets: [100, 101, 102] });
  proc.add({ pid: ownPid, sockets: [501] });
  proc.add({ pid: 70, sockets: [700, 701] });
  return proc;
}

describe.skipIf(process.platform === 'win32')('the owner of a socket', () => {
  test('is searched among the youngest first, our own process last', async () => {
    await using proc = await threeProcesses();
    const owners = new SocketOwners(proc, ownPid);
    expect(await owners.find(501, unhurried())).toEqual({ pid: ownPid });
    expect(proc.listed).toEqual(['70/fd', '10/fd', '50/fd']);
  });

  test('is searched first where sockets were found lately, the latest before', async () => {
    await using proc = await threeProcesses();
    const owners = new SocketOwners(proc, ownPid);
    await owners.find(701, unhurried());
    await owners.find(101, unhurried());
    proc.listed.length = 0;
    expect(await owners.find(100, unhurried())).toEqual({ pid: 10 });
    expect(proc.listed).toEqual(['10/fd']);
    await owners.find(700, unhurried());
    expect(proc.listed).toEqual(['10/fd', '10/fd', '70/fd']);
  });

  test('is tried under the numbers that follow the last one, before a folder is listed', async () => {
    await using proc = await FakeProc.make();
    proc.add({ pid: 10, sockets: [101, 102, 103, 104, 105, 106, 107, 108] });
    proc.add({ pid: 70, sockets: [701] });
    const owners = new SocketOwners(proc, ownPid);
    await owners.find(101, unhurried());
    await owners.find(701, unhurried());
    proc.listed.length = 0;
    const found = await Promise.all([103, 105].map((inode) => owners.find(inode, unhurried())));
    expect(found).toEqual([{ pid: 10 }, { pid: 10 }]);
    // The same number again, for a connection that took the place of another.
    expect(await owners.find(105, unhurried())).toEqual({ pid: 10 });
    expect(proc.listed).toEqual([]);
    expect(await owners.find(108, unhurried())).toEqual({ pid: 10 });
    expect(proc.listed).toEqual(['10/fd']);
  });

  test('is searched among new processes before a known one with hundreds of descriptors', async () => {
    await using proc = await FakeProc.make();
    const many = Array.from({ length: 300 }, (_, index) => 1_000 + index);
    proc.add({ pid: 10, sockets: many });
    proc.add({ pid: 70, sockets: [701] });
    const owners = new SocketOwners(proc, ownPid);
    await owners.find(1_000, unhurried());
    proc.listed.length = 0;
    proc.add({ pid: 90, sockets: [901] });
    expect(await owners.find(901, unhurried())).toEqual({ pid: 90 });
    expect(proc.listed).toEqual(['90/fd']);
    proc.listed.length = 0;
    // Found, but as the last of its remembered ones: none is new, and the known one comes before all others.
    expect(await owners.find(1_200, unhurried())).toEqual({ pid: 10 });
    expect(proc.listed).toEqual(['90/fd', '90/fd', '10/fd']);
  });

  test('whose descriptors may no longer be read is refused', async () => {
    await using proc = await threeProcesses();
    const owners = new SocketOwners(proc, ownPid);
    await owners.find(701, unhurried());
    for (const path of ['70/fd', '70/fd/3', '70/fd/4', '70/fd/5']) proc.faults.set(path, 'EACCES');
    expect(await owners.find(701, unhurried())).toEqual({ pid: undefined, wasRefused: true });
  });

  test('only sixteen processes are remembered', async () => {
    await using proc = await FakeProc.make();
    for (let pid = 100; pid < 120; pid++) proc.add({ pid, sockets: [pid, 1, 2, 3, pid + 1_000] });
    const owners = new SocketOwners(proc, ownPid);
    for (let pid = 100; pid < 120; pid++) await owners.find(pid, unhurried());
    proc.listed.length = 0;
    expect(await owners.find(1_104, unhurried())).toEqual({ pid: 104 });
    expect(proc.listed).toEqual(Array.from({ length: 16 }, (_, index) => `${119 - index}/fd`));
    proc.listed.length = 0;
    proc.add({ pid: 90, sockets: [90] });
    await owners.find(90, unhurried());
    expect(proc.listed.slice(0, 16)).not.toContain('103/fd');
  });

  test('many are found in one pass', async () => {
    await using proc = await threeProcesses();
    const owners = new SocketOwners(proc, ownPid);
    const found = await Promise.all([101, 501, 701, 102].map((inode) => owners.find(inode, unhurried())));
    expect(found.map(({ pid }) => pid)).toEqual([10, ownPid, 70, 10]);
    expect(proc.listed.length).toBe(3);
  });

  test('is nobody when no process holds it', async () => {
    await using proc = await threeProcesses();
    expect(await new SocketOwners(proc, ownPid).find(1, unhurried())).toEqual({
      pid: undefined,
      wasRefused: false,
    });
  });

  test('is unknown when there was a process into which we may not look', async () => {
    await using proc = await threeProcesses();
    proc.faults.set('10/fd', 'EACCES');
    const owners = new SocketOwners(proc, ownPid);
    expect(await owners.find(101, unhurried())).toEqual({ pid: undefined, wasRefused: true });
    expect(await owners.find(701, unhurried())).toEqual({ pid: 70 });
  });

  test('processes and descriptors that vanish meanwhile are passed over', async () => {
    await using proc = await threeProcesses();
    proc.faults.set('70/fd', 'ENOENT');
    proc.faults.set('10/fd/5', 'ENOENT');
    const owners = new SocketOwners(proc, ownPid);
    expect(await owners.find(101, unhurried())).toEqual({ pid: 10 });
    expect(await owners.find(102, unhurried())).toEqual({ pid: undefined, wasRefused: false });
  });

  test('a remembered process that has ended is no obstacle', async () => {
    await using proc = await threeProcesses();
    const owners = new SocketOwners(proc, ownPid);
    await owners.find(701, unhurried());
    proc.remove(70);
    expect(await owners.find(101, unhurried())).toEqual({ pid: 10 });
  });

  test('other errors are not taken for an answer', async () => {
    await using proc = await threeProcesses();
    proc.faults.set('10/fd/4', 'EMFILE');
    await expect(new SocketOwners(proc, ownPid).find(101, unhurried())).rejects.toThrow('EMFILE');
  });
});
