// Lookups on macOS, with output in the documented formats of lsof and ps in place of the programs.
import { describe, expect, test, vi } from 'vitest';

import type { CommandRunner } from '../../src/process/command.ts';
import { DarwinProcesses, type DarwinProcessesOptions } from '../../src/process/darwin.ts';
import { OwnAddresses } from '../../src/process/own-addresses.ts';
import { clientOf, unhurried } from './fake-proc.ts';

const lsof =
  'p412\nf3\nn127.0.0.1:40000->127.0.0.1:8080\np50\nf4\nn127.0.0.1:40001->127.0.0.1:8080\np51\nf4\nn127.0.0.1:40002->127.0.0.1:8080\n';
const ps = `1 0 Sun Nov  1 08:00:01 2026 /sbin/launchd
412 1 Sun Nov 22 16:39:07 2026 /Applications/X.app/Contents/MacOS/X
50 412 Sun Nov 22 16:39:08 2026 /usr/bin/curl
`;

function recorded(): CommandRunner {
  return (file) => Promise.resolve(file.endsWith('lsof') ? lsof : ps);
}

function darwin(options: DarwinProcessesOptions = {}): DarwinProcesses {
  return new DarwinProcesses({
    ownAddresses: new OwnAddresses(() => []),
    run: recorded(),
    readText: (path) =>
      path === '/Applications/X.app/Contents/Info.plist'
        ? Promise.resolve('<key>CFBundleIdentifier</key><string>com.example.x</string>')
        : Promise.reject(new Error(`no ${path}`)),
    ...options,
  });
}

async function describeClient(source: DarwinProcesses, client: string): Promise<unknown> {
  const sighting = await source.find(clientOf(client), unhurried());
  return sighting.kind === 'owner' ? sighting.describe() : sighting;
}

describe('a process', () => {
  test('of an application is told with its bundle', async () => {
    expect(await describeClient(darwin(), '127.0.0.1 40000')).toEqual({
      pid: 412,
      bundleId: 'com.example.x',
      exeName: 'X',
      exePath: '/Applications/X.app/Contents/MacOS/X',
      parentPid: 1,
      parentProcessName: 'launchd',
    });
  });

  test('without a bundle has no id', async () => {
    expect(await describeClient(darwin(), '127.0.0.1 40001')).toEqual({
      pid: 50,
      exeName: 'curl',
      exePath: '/usr/bin/curl',
      parentPid: 412,
      parentProcessName: 'X',
    });
  });

  test('whose bundle can not be read has no id', async () => {
    const source = darwin({ readText: () => Promise.reject(new Error('gone')) });
    expect(await describeClient(source, '127.0.0.1 40000')).not.toHaveProperty('bundleId');
  });

  test('that ps does not list is told by its number', async () => {
    expect(await describeClient(darwin(), '127.0.0.1 40002')).toEqual({ pid: 51 });
  });

  test('has its start time and path as start token', async () => {
    const sighting = await darwin().find(clientOf('127.0.0.1 40001'), unhurried());
    expect(sighting).toMatchObject({ kind: 'owner', startToken: 'Sun Nov 22 16:39:08 2026 /usr/bin/curl' });
  });
});

test('a socket that is not listed is not found', async () => {
  expect(await darwin().find(clientOf('127.0.0.1 40003'), unhurried())).toEqual({ kind: 'not_found' });
});

test('lookups that come together share one run of each program', async () => {
  const run = vi.fn<CommandRunner>(recorded());
  const source = darwin({ run });
  await Promise.all(Array.from({ length: 20 }, () => source.find(clientOf('127.0.0.1 40000'), unhurried())));
  expect(run.mock.calls.map(([file]) => file)).toEqual(['/usr/sbin/lsof', '/bin/ps']);
});

test('no program is run for a remote client', async () => {
  const run = vi.fn<CommandRunner>(recorded());
  const remote = clientOf('192.0.2.9 40000', '192.0.2.1 8080');
  expect(await darwin({ run }).find(remote, unhurried())).toEqual({ kind: 'remote' });
  expect(run).not.toHaveBeenCalled();
});

test('the programs are stopped when nobody waits any more', async () => {
  const signals: AbortSignal[] = [];
  const source = darwin({
    run: (_file, _args, signal) => {
      signals.push(signal);
      return new Promise(() => {});
    },
  });
  const leaving = new AbortController();
  const found = source.find(clientOf('127.0.0.1 40000'), leaving.signal);
  await vi.waitFor(() => expect(signals.length).toBe(2));
  leaving.abort(new Error('gone'));
  await expect(found).rejects.toThrow('gone');
  expect(signals.every(({ aborted }) => aborted)).toBe(true);
});
