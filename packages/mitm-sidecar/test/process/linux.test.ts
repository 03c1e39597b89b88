// What is told of a process, and how a lookup ends, on a folder made to look like /proc.
import { describe, expect, test } from 'vitest';

import { LinuxProcesses } from '../../src/process/linux.ts';
import { OwnAddresses } from '../../src/process/own-addresses.ts';
import { clientOf, clientSocket, FakeProc, type FakeProcess, unhurried } from './fake-proc.ts';

const family = clientOf('127.0.0.1 40000');
const ownAddresses = new OwnAddresses(() => ['127.0.0.1']);

/** A shell, and a client of it whose socket has inode 7. */
async function shellWith(client: Partial<FakeProcess> = {}): Promise<FakeProc> {
  const proc = await FakeProc.make();
  proc.add({ pid: 20, comm: 'sh', exe: '/usr/bin/dash', startTime: 50 });
  proc.add({
    pid: 70,
    comm: 'MainThread',
    parentPid: 20,
    exe: '/opt/node/bin/node',
    sockets: [6, 7],
    ...client,
  });
  proc.sockets('net', 'tcp', [clientSocket(family, 7, 1_000)]);
  return proc;
}

/** Leaves `/proc` alone to be asked. */
function withoutKoffi(): Promise<never> {
  return Promise.reject(new Error('koffi is not installed'));
}

function source(files: FakeProc, uid = 0): LinuxProcesses {
  return new LinuxProcesses({ files, ownAddresses, uid, load: withoutKoffi });
}

async function describeOwner(proc: FakeProc): Promise<unknown> {
  const sighting = await source(proc).find(family, unhurried());
  return sighting.kind === 'owner' ? sighting.describe() : sighting;
}

async function tokenOf(proc: FakeProc): Promise<string> {
  const sighting = await source(proc).find(family, unhurried());
  return sighting.kind === 'owner' ? sighting.startToken : sighting.kind;
}

describe.skipIf(process.platform === 'win32')('a process', () => {
  test('is told with its file and its parent', async () => {
    await using proc = await shellWith();
    expect(await describeOwner(proc)).toEqual({
      pid: 70,
      exeName: 'node',
      exePath: '/opt/node/bin/node',
      parentPid: 20,
      parentProcessName: 'dash',
    });
  });

  test('whose file was replaced is told with its old path', async () => {
    await using proc = await shellWith({ exe: '/opt/node/bin/node (deleted)' });
    expect(await describeOwner(proc)).toMatchObject({ exeName: 'node', exePath: '/opt/node/bin/node' });
  });

  test('whose file may not be known has its short name', async () => {
    await using proc = await shellWith({ comm: 'a (b) c' });
    proc.faults.set('70/exe', 'EACCES');
    proc.faults.set('20/exe', 'EACCES');
    expect(await describeOwner(proc)).toEqual({
      pid: 70,
      exeName: 'a (b) c',
      parentPid: 20,
      parentProcessName: 'sh',
    });
  });

  test('whose parent has ended keeps its number', async () => {
    await using proc = await shellWith();
    proc.remove(20);
    const info = await describeOwner(proc);
    expect(info).toMatchObject({ parentPid: 20 });
    expect(info).not.toHaveProperty('parentProcessName');
  });

  test('without a parent has none', async () => {
    await using proc = await shellWith({ parentPid: 0 });
    expect(await describeOwner(proc)).toEqual({ pid: 70, exeName: 'node', exePath: '/opt/node/bin/node' });
  });
});

describe.skipIf(process.platform === 'win32')('the start token', () => {
  test('differs when a pid is used again, or the process has become another program', async () => {
    await using proc = await shellWith();
    const first = await tokenOf(proc);
    expect(await tokenOf(proc)).toBe(first);
    proc.remove(70);
    proc.add({ pid: 70, exe: '/opt/node/bin/node', sockets: [7], startTime: 101 });
    const reused = await tokenOf(proc);
    proc.remove(70);
    proc.add({ pid: 70, exe: '/usr/bin/curl', sockets: [7], startTime: 101 });
    expect(new Set([first, reused, await tokenOf(proc)]).size).toBe(3);
  });
});

describe.skipIf(process.platform === 'win32')('a lookup without a process', () => {
  test('not_found: the table does not have the socket', async () => {
    await using proc = await shellWith();
    expect(await source(proc).find(clientOf('127.0.0.1 40001'), unhurried())).toEqual({ kind: 'not_found' });
  });

  test('not_found: the socket is closed, and only the table still has it', async () => {
    await using proc = await shellWith();
    proc.sockets('net', 'tcp', [clientSocket(family, 0)]);
    expect(await source(proc).find(family, unhurried())).toEqual({ kind: 'not_found' });
    expect(proc.listed).toEqual([]);
  });

  test('not_found: nobody holds the socket, and we have seen everyone', async () => {
    await using proc = await shellWith({ sockets: [] });
    expect(await source(proc).find(family, unhurried())).toEqual({ kind: 'not_found' });
  });

  test('not_found: the process ends between finding and reading it', async () => {
    await using proc = await shellWith();
    proc.faults.set('70/stat', 'ESRCH');
    expect(await source(proc).find(family, unhurried())).toEqual({ kind: 'not_found' });
  });

  test('not_permitted: we may not look into a process', async () => {
    await using proc = await shellWith();
    proc.faults.set('70/fd', 'EACCES');
    expect(await source(proc, 1_000).find(family, unhurried())).toEqual({ kind: 'not_permitted' });
  });

  test('not_found: the socket was closed meanwhile, whoever it was that we may not look into', async () => {
    await using proc = await shellWith();
    proc.faults.set('70/fd', 'EACCES');
    proc.meanwhile = () => proc.sockets('net', 'tcp', [clientSocket(family, 0)]);
    expect(await source(proc, 1_000).find(family, unhurried())).toEqual({ kind: 'not_found' });
  });

  test('not_permitted: the socket is of another user, whose processes are hidden', async () => {
    await using proc = await shellWith();
    proc.remove(70);
    expect(await source(proc, 2_000).find(family, unhurried())).toEqual({ kind: 'not_permitted' });
    expect(await source(proc, 1_000).find(family, unhurried())).toEqual({ kind: 'not_found' });
  });

  test('remote: the address is of another machine', async () => {
    await using proc = await shellWith();
    const remote = clientOf('192.0.2.9 40000', '192.0.2.1 8080');
    expect(await source(proc).find(remote, unhurried())).toEqual({ kind: 'remote' });
  });
});

test.skipIf(process.platform === 'win32').each(['70/stat', '70/exe', 'net/tcp'])(
  'an error of %s that says nothing about the process is passed on',
  async (path) => {
    await using proc = await shellWith();
    proc.faults.set(path, 'EMFILE');
    await expect(source(proc).find(family, unhurried())).rejects.toThrow('EMFILE');
  },
);
