// A process that is killed while it writes its log, for real: what it leaves can be read up to the last whole line.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { expect, test } from 'vitest';

import { EventLogReader, rebuildEventLogIndex } from '../src/log-reader.ts';
import { verifyEventLog } from '../src/log-verify.ts';
import { idsOf, span } from './log-fixture.ts';

const child = fileURLToPath(new URL('log-writing-child.ts', import.meta.url));

/** Lets a process write until it has given so many events to the log, and kills it. */
async function killedAt(path: string, eventCount: number, flushEvery: number): Promise<void> {
  const writer = spawn(process.execPath, ['--conditions=@soth/source', child, path, String(flushEvery)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const chunk of writer.stdout) {
    const given = Number(String(chunk).trimEnd().split('\n').at(-1));
    if (given >= eventCount) break;
  }
  const ended = once(writer, 'exit');
  writer.kill('SIGKILL');
  expect(await ended).toEqual([null, 'SIGKILL']);
}

test.each([
  [500, 1],
  [4_000, 1],
  [4_000, 64],
])('killed after %i events with flushEvery %i', async (eventCount, flushEvery) => {
  const folder = await mkdtemp(join(tmpdir(), 'event-log-crash-'));
  const path = join(folder, 'events.jsonl');
  await killedAt(path, eventCount, flushEvery);

  const reader = new EventLogReader({ path });
  const ids = await idsOf(reader.records());
  const last = ids.at(-1) ?? 0;
  expect(last).toBeGreaterThan(0);
  expect(ids).toEqual(span(1, last));
  expect(await idsOf(reader.records({ flowId: 1 }))).toEqual(span(1, last, 3));
  expect(await verifyEventLog(path, Buffer.alloc(32, 7))).toMatchObject({
    isIntact: true,
    isComplete: false,
  });

  await appendFile(`${path}.index.tsv`, '99\t1\t');
  expect((await rebuildEventLogIndex({ path })).rowCount).toBe(last);
  const rows = (await readFile(`${path}.index.tsv`, 'utf8')).split('\n');
  expect(rows).toHaveLength(last + 2);
  expect((await reader.find(last))?.sequence_id).toBe(last);
  await rm(folder, { recursive: true });
});
