import { EventBus, Metrics, silentLogger } from 'mitm-observe';
import { DestinationError } from 'mitm-policy';
import { describe, expect, test } from 'vitest';

import { Engine } from '../src/engine.ts';
import { ReloadError } from '../src/errors.ts';
import { inFlightLimit, testConfig, testConnection, testEngine } from './engine-fixture.ts';

describe('flows', () => {
  test('are numbered from 1, children among them', () => {
    const { engine } = testEngine();
    const first = engine.openFlow({ connection: testConnection() });
    const child = first.openChild({ state: 'tls_ready', protocol: 'http1' });
    const second = engine.openFlow({ connection: testConnection() });
    expect([first.id, child.id, second.id]).toEqual([1, 2, 3]);
  });

  test('two engines share nothing', () => {
    const [a, b] = [testEngine(), testEngine()];
    a.engine.openFlow({ connection: testConnection() }).close('shutdown');
    a.engine.permits.tryTake();
    a.engine.budget.tryTake(5);
    expect(b.engine.openFlow({ connection: testConnection() }).id).toBe(1);
    expect([b.recorder.events(), b.engine.permits.taken, b.engine.budget.held]).toEqual([[], 0, 0]);
  });

  test('get the configuration in force unless they are given one', () => {
    const { engine } = testEngine();
    const { settings } = engine;
    const early = engine.openFlow({ connection: testConnection() });
    expect(early.config).toBe(engine.config);
    engine.reload(testConfig({ maxFlowEventBacklog: 7 }));
    expect(engine.openFlow({ connection: testConnection() }).config).toBe(engine.config);
    expect(engine.openFlow({ connection: testConnection(), settings }).config).toBe(early.config);
  });

  test('are judged to their end by the rules they were born with, their exchanges too', () => {
    const { engine } = testEngine({ interception: { destinations: ['*:*'] } });
    const flow = engine.openFlow({ connection: testConnection() });
    engine.reload(testConfig({ interception: { destinations: ['*:*'], blockedHosts: ['a.test'] } }));
    const target = { host: 'a.test', port: 443 };
    const init = { state: 'accepted', protocol: 'http1' } as const;
    expect(flow.judge(target).action).toBe('intercept');
    expect(flow.openChild(init).judge(target).action).toBe('intercept');
    const judgedAnew = flow.openChild({ ...init, settings: engine.settings });
    expect([judgedAnew.judge(target).action, judgedAnew.config]).toEqual(['block', engine.config]);
  });
});

describe('decisions', () => {
  const interception = {
    destinations: ['listed.test:443'],
    passthroughUnlisted: true,
    ignoreHosts: ['ignored.test'],
  };

  test('follow the configured destinations and overrides', () => {
    const { engine } = testEngine({
      interception,
      compatibilityOverrides: [{ ruleId: 'r1', hostPattern: 'listed.test', disableH2: true }],
    });
    expect(engine.decide({ host: 'listed.test', port: 443 })).toMatchObject({
      action: 'intercept',
      disableH2: true,
    });
    expect(engine.decide({ host: 'listed.test', port: 80 }).action).toBe('tunnel');
  });

  test('a second name can only make them stricter', () => {
    const { engine } = testEngine({ interception });
    const ignored = { host: 'ignored.test', port: 443 };
    const listed = { host: 'listed.test', port: 443 };
    expect(engine.decide(ignored).action).toBe('tunnel');
    expect(engine.decide(ignored, listed).action).toBe('intercept');
    expect(engine.decide(listed, ignored).action).toBe('intercept');
  });

  test('a policy of the caller’s judges in place of the configured one', () => {
    const policy = { decide: () => ({ action: 'block', reason: 'mine' }) as const };
    const { engine } = testEngine({ interception }, { policy });
    expect(engine.decide({ host: 'listed.test', port: 443 })).toMatchObject({
      action: 'block',
      reason: 'mine',
    });
  });

  test.each([
    ['one name', undefined],
    ['two names', { host: 'b.test', port: 443 }],
  ])('a policy that throws blocks and is logged: %s', (_rule, other) => {
    const policy = {
      decide: (): never => {
        throw new Error('boom');
      },
    };
    const { engine, logs } = testEngine({}, { policy });
    expect(engine.decide({ host: 'a.test', port: 443 }, other)).toMatchObject({
      action: 'block',
      reason: 'policy_error',
    });
    expect(logs[0]).toMatchObject({ host: 'a.test', error: 'boom', msg: 'policy engine failed' });
  });
});

describe('reload', () => {
  test('AP-20 new flows get the new configuration and rules, the decision of an open one stands', () => {
    const { engine } = testEngine({
      interception: { destinations: ['old.test:443'], passthroughUnlisted: true },
    });
    const flow = engine.openFlow({ connection: testConnection() });
    flow.decision = engine.decide({ host: 'old.test', port: 443 });
    const before = engine.config;
    const next = testConfig({ interception: { destinations: ['new.test:443'], passthroughUnlisted: true } });
    expect(engine.reload(next)).toEqual(['interception.destinations']);
    expect(engine.config).toBe(next);
    expect([flow.config, flow.decision.action]).toEqual([before, 'intercept']);
    expect(engine.decide({ host: 'old.test', port: 443 }).action).toBe('tunnel');
    expect(engine.decide({ host: 'new.test', port: 443 }).action).toBe('intercept');
  });

  test('AP-21 names what needs a restart and changes nothing', () => {
    const { engine } = testEngine();
    const before = engine.config;
    const next = testConfig({ bind: '127.0.0.1:9999', maxFlowEventBacklog: 7 });
    expect(() => engine.reload(next)).toThrow(ReloadError);
    expect(() => engine.reload(next)).toThrow(expect.objectContaining({ keys: ['bind'] }));
    expect(engine.config).toBe(before);
  });

  test('rules that can’t be made change nothing', () => {
    const { engine } = testEngine({ interception: { destinations: ['old.test:443'] } });
    const before = engine.config;
    // Such a configuration does not parse; a caller can still put one together.
    const broken = { ...before, interception: { ...before.interception, destinations: [] } };
    expect(() => engine.reload(broken)).toThrow(DestinationError);
    expect(engine.config).toBe(before);
    expect(engine.decide({ host: 'old.test', port: 443 }).action).toBe('intercept');
  });

  test('an equal configuration changes no field', () => {
    const { engine } = testEngine();
    expect(engine.reload(testConfig())).toEqual([]);
  });

  test('a caller’s policy stays', () => {
    const policy = { decide: () => ({ action: 'block', reason: 'mine' }) as const };
    const { engine } = testEngine({}, { policy });
    engine.reload(testConfig({ interception: { destinations: ['new.test:443'] } }));
    expect(engine.decide({ host: 'new.test', port: 443 }).reason).toBe('mine');
  });

  test('limits count at once', () => {
    const { engine } = testEngine({ maxConcurrentFlows: 1, ...inFlightLimit(10) });
    expect([engine.permits.tryTake(), engine.permits.tryTake()]).toEqual([true, false]);
    expect(engine.budget.tryTake(11)).toBe(false);
    engine.reload(testConfig({ maxConcurrentFlows: 2, ...inFlightLimit(11) }));
    expect([engine.permits.tryTake(), engine.budget.tryTake(11)]).toEqual([true, true]);
  });
});

describe('metrics', () => {
  test('show the bytes that are held, the most that were, and refusals', () => {
    const { engine } = testEngine(inFlightLimit(10));
    engine.budget.tryTake(8);
    engine.budget.tryTake(8);
    engine.budget.release(3);
    expect(engine.snapshot()).toMatchObject({
      currentInFlightBytes: 5,
      inFlightBytesWatermark: 8,
      inFlightBudgetDenialCount: 1,
      budgetDenialCount: 1,
    });
  });

  test('AP-18 opens and closes are counted', () => {
    const { engine } = testEngine();
    const first = engine.openFlow({ connection: testConnection() });
    engine.openFlow({ connection: testConnection() });
    first.close('relay_eof');
    expect(engine.snapshot()).toMatchObject({ activeFlows: 1, maxActiveFlows: 2, flowCount: 1 });
  });
});

test('an engine is made of what its caller hands it', () => {
  const parts = {
    config: testConfig(),
    handler: {},
    bus: new EventBus(),
    metrics: new Metrics(),
    logger: silentLogger,
  };
  const engine = new Engine(parts);
  expect([engine.bus, engine.metrics, engine.logger, engine.config, engine.handler.handler]).toEqual([
    parts.bus,
    parts.metrics,
    parts.logger,
    parts.config,
    parts.handler,
  ]);
});

test('what belongs to no flow is reported under flow 0, numbered on its own and counted', () => {
  const { engine, recorder } = testEngine();
  const fact = { stage: 'activated', caFingerprint: 'aa', nextCaFingerprint: 'bb' } as const;
  engine.report('ca_rotation', { ...fact, stage: 'announced' });
  engine.report('ca_rotation', fact);
  expect(recorder.events()).toMatchObject([
    { kind: 'ca_rotation', stage: 'announced', flowSequenceId: 1, context: { flowId: 0 } },
    { kind: 'ca_rotation', ...fact, flowSequenceId: 2, context: { flowId: 0 } },
  ]);
  expect(engine.snapshot().caRotationCount).toBe(1);
});
