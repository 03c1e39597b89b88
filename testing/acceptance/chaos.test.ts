// Whatever breaks, and wherever: every flow ends once, every hook is called as promised, nothing is left open, and the counts are exact.
// `SOTH_CHAOS_SEED=n` plays one seed alone, `SOTH_CHAOS_RUNS=n` plays that many.
import { availableParallelism } from 'node:os';

import { generateCa } from 'soth-mitm';
import { expect, test } from 'vitest';

import { startChaosOrigin } from '../chaos/origin.ts';
import { type ChaosStage, runSeed, type SeedReport } from '../chaos/seed-run.ts';
import { createLabAuthority } from '../lab/certificates.ts';
import { LostErrors } from '../lab/lost-errors.ts';
import { loopbackNames } from '../lab/origins.ts';
import { descriptorCount, hasProcessUsage, untilAtMost } from '../lab/process-usage.ts';
import { expectNothingLeft, openHandles } from '../lab/resources.ts';

const oneSeed = process.env['SOTH_CHAOS_SEED'];
const runCount = oneSeed === undefined ? Number(process.env['SOTH_CHAOS_RUNS'] ?? 200) : 1;
const firstSeed = Number(oneSeed ?? 1);
/** Most of a seed is waiting. */
const atOnce = Math.min(12, 4 * availableParallelism());
/** What a slow machine needs for one seed, with the others beside it. */
const seedMs = 400;

interface Before {
  readonly handles: ReturnType<typeof openHandles>;
  readonly descriptors: number;
}

async function playAll(stage: ChaosStage, lost: LostErrors): Promise<readonly SeedReport[]> {
  const reports: SeedReport[] = [];
  let next = firstSeed;
  const one = async (): Promise<void> => {
    while (next < firstSeed + runCount) {
      const seed = next;
      next += 1;
      lost.underWay.add(`seed ${seed}`);
      reports.push(await runSeed(seed, stage));
      lost.underWay.delete(`seed ${seed}`);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, one));
  return reports;
}

test(`${runCount} seeds of chaos`, { timeout: 30_000 + runCount * seedMs }, async ({ annotate }) => {
  await using authority = await createLabAuthority();
  const complaints = new Map<number, string[]>();
  await using origin = await startChaosOrigin((seed, text) => {
    const known = complaints.get(Number(seed));
    if (known === undefined) complaints.set(Number(seed), [text]);
    else known.push(text);
  });
  const stage: ChaosStage = {
    origin,
    complaints,
    certificate: await authority.issue(loopbackNames),
    originCaFile: await authority.caFile(),
    ca: await generateCa(),
  };
  // The first one loads what stays loaded.
  await runSeed(0, stage);
  const before = {
    handles: openHandles(),
    descriptors: hasProcessUsage ? await descriptorCount(process.pid) : 0,
  };
  using lost = new LostErrors();
  const start = performance.now();
  const reports = await playAll(stage, lost);
  const tookMs = performance.now() - start;
  const outcomes: Record<string, number> = {};
  for (const outcome of reports.flatMap((report) => report.outcomes))
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  const bad = reports.filter(({ violations }) => violations.length > 0);
  await annotate(
    `${reports.length} seeds in ${(tookMs / 1_000).toFixed(1)} s, ${bad.length} bad; exchanges: ${JSON.stringify(outcomes)}`,
  );
  const told = bad
    .slice(0, 20)
    .map(
      (report) =>
        `${report.description}, in ${Math.round(report.tookMs)} ms\n  ${report.violations.join('\n  ')}`,
    );
  expect(told.join('\n')).toBe('');
  expect(lost.found).toEqual([]);
  await expectNoneLeft(before);
});

/**
 * Node's own HTTP/2 clients now and then leave a handle behind whose descriptor is closed, so that sockets are counted by descriptor
 * where the system tells these.
 */
async function expectNoneLeft(before: Before): Promise<void> {
  await expectNothingLeft(before.handles, 10_000, ['TCPSocketWrap']);
  if (hasProcessUsage) await untilAtMost(() => descriptorCount(process.pid), before.descriptors, 10_000);
}
