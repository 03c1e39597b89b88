import { open } from 'node:fs/promises';

import { describe, expect, test } from 'vitest';

import {
  descriptorCount,
  hasProcessUsage,
  peakResidentBytes,
  residentBytes,
  untilAtMost,
} from './process-usage.ts';

describe.skipIf(!hasProcessUsage)('figures of a process (only Linux tells them)', () => {
  test('resident memory is what Node itself says, about', async () => {
    const told = process.memoryUsage.rss();
    expect(Math.abs((await residentBytes(process.pid)) - told)).toBeLessThan(told / 4);
  });

  test('an open file is a descriptor more', async () => {
    const before = await descriptorCount(process.pid);
    await using file = await open('/proc/self/status');
    expect(file.fd).toBeGreaterThan(0);
    expect(await descriptorCount(process.pid)).toBe(before + 1);
  });

  test('the peak is at least what was resident when the work ended, whose failure is passed on', async () => {
    const nothing = await peakResidentBytes(process.pid, Promise.resolve());
    expect(nothing).toBeGreaterThan(0);
    const failing = Promise.reject(new Error('the work failed'));
    await expect(peakResidentBytes(process.pid, failing)).rejects.toThrow('the work failed');
  });
});

describe('untilAtMost', () => {
  test('asks until the figure is small enough', async () => {
    let figure = 4;
    expect(await untilAtMost(() => (figure -= 1), 1, 1_000)).toBe(1);
  });

  test('says the last figure when the time is up', async () => {
    await expect(untilAtMost(() => 9, 1, 50)).rejects.toThrow('at most 1 (it is 9)');
  });
});
