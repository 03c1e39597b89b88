// The snapshot says what is held, the most that was, and what may be.
import { expect, test } from 'vitest';

import { testEngine } from './engine-fixture.ts';

test('what is held now, the most at once, and the limits in force', () => {
  const { engine } = testEngine({ maxConcurrentFlows: 3, maxInFlightBytes: 100_000 });
  const { permits, budget } = engine;
  for (let count = 0; count < 2; count += 1) permits.tryTake();
  permits.release();
  budget.take(700);
  budget.release(600);
  const snapshot = engine.runtimeSnapshot();
  expect(snapshot).toMatchObject({
    activeFlows: 1,
    maxActiveFlows: 2,
    flowCapacity: 3,
    currentInFlightBytes: 100,
    inFlightBytesWatermark: 700,
    inFlightBytesCapacity: 100_000,
    budgetDenialCount: 0,
  });
  permits.tryTake();
  expect(snapshot.activeFlows).toBe(1);
});

test('each refusal is counted, and under its own name', () => {
  const { engine } = testEngine({ maxInFlightBytes: 100_000 });
  expect(engine.budget.tryTake(100_001)).toBe(false);
  engine.metrics.permitDenied();
  expect(engine.runtimeSnapshot()).toMatchObject({
    budgetDenialCount: 2,
    flowPermitDenialCount: 1,
    inFlightBudgetDenialCount: 1,
    backpressureActivationCount: 2,
    maxActiveFlows: 0,
  });
});
