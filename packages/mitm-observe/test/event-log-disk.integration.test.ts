// A disk that is full, and one that can't be written to: small ones in memory, where this user may mount them.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { EventBus } from '../src/event-bus.ts';
import { EventLog } from '../src/event-log.ts';
import { EventLogReader } from '../src/log-reader.ts';
import { emitMany, idsOf } from './log-fixture.ts';

class SmallDisk implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'small-disk-'));
  readonly isMounted = run('mount', '-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', this.path);

  makeReadOnly(): void {
    run('mount', '-o', 'remount,ro', this.path);
  }

  [Symbol.dispose](): void {
    if (this.isMounted) run('umount', this.path);
    rmdirSync(this.path);
  }
}

function run(command: string, ...args: readonly string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0;
}

function canMount(): boolean {
  using disk = new SmallDisk();
  return disk.isMounted;
}

test.runIf(canMount())(
  'a full disk is told once, costs only what did not fit, and the log goes on when there is room',
  async () => {
    using disk = new SmallDisk();
    const ballast = join(disk.path, 'ballast');
    await writeFile(ballast, Buffer.alloc(24 * 1024));
    const path = join(disk.path, 'events.jsonl');
    const reports: string[] = [];
    const log = await EventLog.open({ path, onWriteError: (error) => reports.push(error.message) });
    const bus = new EventBus();
    bus.subscribe(log);
    for (let round = 0; round < 40; round += 1) {
      emitMany(bus, 6);
      await log.flush();
    }
    expect(log.droppedCount).toBeGreaterThan(0);
    expect(log.writeErrorCount).toBeGreaterThan(0);
    expect(log.lastError).toContain('ENOSPC');
    expect(reports.length).toBeGreaterThan(0);
    expect(reports.length).toBeLessThan(log.writeErrorCount);
    const before = log.droppedCount;
    await rm(ballast);
    emitMany(bus, 6);
    await log.close();
    expect(log.droppedCount).toBe(before);

    const reader = new EventLogReader({ path });
    const ids = await idsOf(reader.records());
    expect(ids.length + log.droppedCount).toBe(bus.lastSequenceId);
    expect(ids.at(-1)).toBe(bus.lastSequenceId);
    for (const id of ids) expect((await reader.find(id))?.sequence_id).toBe(id);
    expect(
      (await readFile(path, 'utf8'))
        .split('\n')
        .slice(0, -1)
        .every((line) => line.endsWith('}')),
    ).toBe(true);
  },
);

test.runIf(canMount())('a disk that can not be written to refuses to open', async () => {
  using disk = new SmallDisk();
  disk.makeReadOnly();
  const path = join(disk.path, 'events.jsonl');
  await expect(EventLog.open({ path })).rejects.toMatchObject({
    code: 'open_failed',
    path,
    message: expect.stringContaining('EROFS'),
  });
});
