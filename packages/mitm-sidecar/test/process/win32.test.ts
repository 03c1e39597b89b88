// Lookups on Windows, with a listing in the form that our script writes; it was not recorded on Windows.
import { describe, expect, test, vi } from 'vitest';

import type { CommandRunner } from '../../src/process/command.ts';
import { OwnAddresses } from '../../src/process/own-addresses.ts';
import { parseWindowsListing, powershellArguments, WindowsProcesses } from '../../src/process/win32.ts';
import { clientOf, unhurried } from './fake-proc.ts';

const listing = [
  'C\t127.0.0.1\t58231\t127.0.0.1\t8080\t4242',
  'C\t127.0.0.1\t8080\t127.0.0.1\t58231\t900',
  'C\t::1\t58232\t::1\t8080\t4300',
  'C\t127.0.0.1\t58233\t127.0.0.1\t8080\t4400',
  'C\t127.0.0.1\t58234\t127.0.0.1\t8080\t4500',
  'P\t0\t0\t0\tSystem Idle Process\t',
  'P\t4\t0\t0\tSystem\t',
  'P\t3000\t900\t133770000000000000\texplorer.exe\tC:\\Windows\\explorer.exe',
  'P\t4242\t3000\t133770000000000100\tcurl.exe\tC:\\Windows\\System32\\curl.exe',
  'P\t4300\t4242\t133770000000000050\told.exe\t',
  'P\t4400\t77\t133770000000000200\tЖ ü.exe\tC:\\Program Files\\Ж ü.exe',
].join('\r\n');

function windows(run: CommandRunner = () => Promise.resolve(listing)): WindowsProcesses {
  return new WindowsProcesses({ ownAddresses: new OwnAddresses(() => []), run });
}

async function describeClient(client: string, proxy?: string): Promise<unknown> {
  const sighting = await windows().find(clientOf(client, proxy), unhurried());
  return sighting.kind === 'owner' ? sighting.describe() : sighting;
}

describe('a process', () => {
  test('PA-35 PA-36 PA-37 is told with its file and its parent', async () => {
    expect(await describeClient('127.0.0.1 58231')).toEqual({
      pid: 4_242,
      exeName: 'curl.exe',
      exePath: 'C:\\Windows\\System32\\curl.exe',
      parentPid: 3_000,
      parentProcessName: 'explorer.exe',
    });
  });

  test('whose path is hidden has a name; a parent that is younger is another process', async () => {
    expect(await describeClient('::1 58232', '::1 8080')).toEqual({
      pid: 4_300,
      exeName: 'old.exe',
      parentPid: 4_242,
    });
  });

  test('whose parent has ended keeps its number', async () => {
    expect(await describeClient('127.0.0.1 58233')).toEqual({
      pid: 4_400,
      exeName: 'Ж ü.exe',
      exePath: 'C:\\Program Files\\Ж ü.exe',
      parentPid: 77,
    });
  });

  test('that is not listed is told by its number', async () => {
    expect(await describeClient('127.0.0.1 58234')).toEqual({ pid: 4_500 });
  });

  test('PA-35 is not found by a part of its port', async () => {
    expect(await describeClient('127.0.0.1 5823')).toEqual({ kind: 'not_found' });
  });
});

test('lines of another form are passed over', () => {
  const { connections, processes } = parseWindowsListing(
    'C\n\nP\nP\tx\nC\t1.2.3.4\t1\t1.2.3.4\t2\tx\nC\tname\t1\tname\t2\t3\nX\t1\nGet-NetTCPConnection : Access denied\n',
  );
  expect([connections.size, processes.size]).toEqual([0, 0]);
});

test('PowerShell gets its script encoded, without a profile', () => {
  expect(powershellArguments).toContain('-NoProfile');
  const script = Buffer.from(powershellArguments.at(-1) ?? '', 'base64').toString('utf16le');
  expect(script).toContain('Get-NetTCPConnection -State Established');
  expect(script).toContain('-join "`t"');
});

test('lookups that come together share one run, and a remote client needs none', async () => {
  const run = vi.fn<CommandRunner>(() => Promise.resolve(listing));
  const source = windows(run);
  await Promise.all(Array.from({ length: 20 }, () => source.find(clientOf('127.0.0.1 58231'), unhurried())));
  expect(await source.find(clientOf('192.0.2.9 1', '192.0.2.1 2'), unhurried())).toEqual({ kind: 'remote' });
  expect(run).toHaveBeenCalledTimes(1);
  expect(run.mock.calls[0]?.[0]).toMatch(/powershell\.exe$/);
});
