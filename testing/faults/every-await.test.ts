// Whatever the proxy waits for may fail, and then still: every flow ends once, hooks are called as promised, counts are exact, nobody
// is left waiting, and nothing stays open. Each `await` in its sources is let fail. `SOTH_FAULT_RUNS=n` plays n of them, `all` each;
// `SOTH_FAULT='scenario | await | occurrence | kind'`, as a failure tells it, plays one alone.
import { generateCa } from 'soth-mitm';
import { expect, test } from 'vitest';

import { startChaosOrigin } from '../chaos/origin.ts';
import { Random } from '../chaos/random.ts';
import { type ChaosStage, runScenario } from '../chaos/seed-run.ts';
import { createLabAuthority } from '../lab/certificates.ts';
import { LostErrors } from '../lab/lost-errors.ts';
import { loopbackNames } from '../lab/origins.ts';
import { temporaryDirectory } from '../lab/temporary.ts';
import { withSeams } from './await-seams.ts';
import { neverFails } from './never-fails.ts';
import { faultScenarios, type NamedScenario, patienceMs } from './scenarios.ts';
import { type FaultKind, faultKinds, SeamWatch } from './seam-watch.ts';

const wanted = process.env['SOTH_FAULT'];
const runs = process.env['SOTH_FAULT_RUNS'] ?? '60';
const runCount = runs === 'all' ? Number.POSITIVE_INFINITY : Number(runs);
/** What a slow machine needs for one. */
const runMs = 1_500;

/** What is to fail, and when. */
interface Plan {
  readonly named: NamedScenario;
  readonly seam: string;
  readonly occurrence: number;
  readonly kind: FaultKind;
}

const textOf = ({ named, seam, occurrence, kind }: Plan): string =>
  [named.name, seam, occurrence, kind].join(' | ');

async function visitsOf(
  { scenario }: NamedScenario,
  stage: ChaosStage,
): Promise<ReadonlyMap<string, number>> {
  using watch = new SeamWatch();
  watch.pause();
  await runScenario(scenario, stage, { begin: () => watch.resume(), end: () => watch.pause() });
  return watch.visits;
}

/** Each `await` that a scenario comes by fails the first time, and at one of the times after it. */
function plansOf(named: NamedScenario, visits: ReadonlyMap<string, number>, random: Random): Plan[] {
  return [...visits]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .filter(([seam]) => !neverFails.has(seam))
    .flatMap(([seam, count]) => {
      const later = count > 1 ? [2 + random.below(count - 1)] : [];
      return [1, ...later].map((occurrence) => ({ named, seam, occurrence, kind: random.pick(faultKinds) }));
    });
}

/** The plan that a failure told. @throws Error for a text that is none */
function planOf(text: string, scenarios: readonly NamedScenario[]): Plan {
  const [name, seam = '', occurrence, fault] = text.split(' | ');
  const named = scenarios.find((scenario) => scenario.name === name);
  const kind = faultKinds.find((known) => known === fault);
  if (named === undefined || kind === undefined) throw new Error(`SOTH_FAULT is no plan: ${text}`);
  return { named, seam, occurrence: Number(occurrence), kind };
}

/** Some of the plans, whichever. */
function chosen(plans: readonly Plan[], random: Random): readonly Plan[] {
  const left = [...plans];
  const picked: Plan[] = [];
  while (picked.length < runCount && left.length > 0)
    picked.push(...left.splice(random.below(left.length), 1));
  return picked;
}

interface Verdict {
  readonly hasFailed: boolean;
  readonly wrong: readonly string[];
}

async function play(plan: Plan, stage: ChaosStage): Promise<Verdict> {
  using watch = new SeamWatch(plan);
  watch.pause();
  const report = await runScenario(plan.named.scenario, stage, {
    begin: () => watch.resume(),
    end: () => watch.pause(),
  });
  const wrong = [...report.violations];
  if (report.tookMs > patienceMs) wrong.push(`took ${Math.round(report.tookMs)} ms: somebody was forgotten`);
  return { hasFailed: watch.hasFailed, wrong };
}

test(
  'each await of the proxy may fail',
  { timeout: 120_000 + Math.min(runCount, 3_000) * runMs },
  async ({ annotate }) => {
    await using folder = await temporaryDirectory();
    await using authority = await createLabAuthority();
    await using origin = await startChaosOrigin(() => {});
    const stage: ChaosStage = {
      origin,
      complaints: new Map(),
      certificate: await authority.issue(loopbackNames),
      originCaFile: await authority.caFile(),
      ca: await generateCa(),
    };
    const key = await folder.write('key', 'k'.repeat(32));
    const random = new Random(Number(process.env['SOTH_FAULT_SEED'] ?? 1));
    using lost = new LostErrors();
    const plans: Plan[] = [];
    const seams = new Set<string>();
    const scenarios = faultScenarios(folder.resolve(), key);
    for (const named of wanted === undefined ? scenarios : []) {
      const visits = await visitsOf(named, stage);
      for (const seam of visits.keys()) seams.add(seam);
      plans.push(...plansOf(named, visits, random));
    }
    const picked = wanted === undefined ? chosen(plans, random) : [planOf(wanted, scenarios)];
    const told: string[] = [];
    let failedCount = 0;
    for (const plan of picked) {
      lost.underWay.add(textOf(plan));
      const { hasFailed, wrong } = await play(plan, stage);
      lost.underWay.delete(textOf(plan));
      if (hasFailed) failedCount += 1;
      if (wrong.length > 0) told.push(`${textOf(plan)}\n  ${wrong.join('\n  ')}`);
    }
    await annotate(
      `${seams.size} awaits come by, ${plans.length} ways to fail, ${picked.length} played, ${failedCount} failed, ${told.length} bad`,
    );
    expect(told.join('\n')).toBe('');
    expect(lost.found).toEqual([]);
    expect(failedCount).toBeGreaterThan(0.7 * picked.length);
  },
);

test('a call is put in front of all that is awaited, and no line moves', () => {
  const code =
    'async function f() {\n  const a: number = await g(await h(),\n    1);\n  await a;\n  for await (const x of y) await a.b?.(x);\n}';
  const changed = withSeams(code, 'p/src/x.ts');
  expect(changed.split('\n')).toHaveLength(code.split('\n').length);
  const calls = [...changed.matchAll(/__atAwait\?\.\("(?<name>[^"]*)"\)/g)].map(
    ({ groups }) => groups?.['name'],
  );
  expect(calls).toEqual([
    'p/src/x.ts: await g(await h(), 1)',
    'p/src/x.ts: await h()',
    'p/src/x.ts: await a.b?.(x)',
  ]);
  expect(
    changed.replaceAll(/\(globalThis\.__atAwait\?\.\("[^"]*"\), /g, '').replaceAll(/\)(?=[),;])/g, ''),
  ).toContain('await g(await h(');
});
