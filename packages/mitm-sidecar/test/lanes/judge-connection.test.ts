// The verdict on a target: what a policy is told, what the handler may still change, and what is reported.
import type { InterceptHandler } from 'mitm-core';
import { HeaderMap } from 'mitm-http';
import type { PolicyInput } from 'mitm-policy';
import { describe, expect, test } from 'vitest';

import { targetReceived } from '../../src/lanes/decide-target.ts';
import { judgeConnection } from '../../src/lanes/judge-connection.ts';
import { createRuntime } from '../runtime-fixture.ts';

const always = (): boolean => true;
const never = (): boolean => false;

const target = { host: 'api.example', port: 443 };

async function judged(
  handler: InterceptHandler = {},
  action: 'intercept' | 'tunnel' | 'block' = 'intercept',
) {
  const inputs: PolicyInput[] = [];
  const fixture = await createRuntime({
    handler,
    config: { http3Passthrough: true },
    policy: {
      decide: (input) => {
        inputs.push(input);
        return { action, reason: 'as the test says' };
      },
    },
  });
  return { ...fixture, inputs };
}

test('a policy is told what is known, and nothing besides', async () => {
  const { inputs, openFlow, runtime } = await judged();
  await judgeConnection(openFlow(), runtime, target);
  const flow = openFlow();
  flow.user = 'ada';
  flow.connection.processInfo = { pid: 7, exeName: 'agent' };
  const fingerprint = { ja4: 't13' };
  await judgeConnection(flow, runtime, target, { hello: { sni: 'api.example', alpn: ['h2'], fingerprint } });
  const named = { ...target, connectHost: target.host };
  expect(inputs).toEqual([
    named,
    {
      ...named,
      user: 'ada',
      process: { pid: 7, exeName: 'agent' },
      sni: 'api.example',
      alpn: ['h2'],
      ja4: 't13',
    },
  ]);
  flow.close('shutdown');
});

describe('what is done', () => {
  const hint = new HeaderMap(['X-HTTP3-Passthrough', '1']);
  test.each([
    ['policy’s word, without the handler', 'block', undefined, undefined, 'block', undefined],
    ['a tunnel is never read', 'tunnel', always, undefined, 'tunnel', undefined],
    ['the handler agrees', 'intercept', always, undefined, 'intercept', undefined],
    ['the handler declines', 'intercept', never, undefined, 'tunnel', 'handler_declined'],
    ['the client asks for HTTP/3', 'intercept', always, hint, 'tunnel', 'http3_hint'],
    ['and can not ask away a block', 'block', undefined, hint, 'block', undefined],
  ] as const)('%s', async (_rule, action, shouldInterceptTls, headers, done, why) => {
    const handler = shouldInterceptTls === undefined ? {} : { shouldInterceptTls };
    const { openFlow, runtime, recorder } = await judged(handler, action);
    const flow = openFlow();
    const judgement = await judgeConnection(flow, runtime, target, headers === undefined ? {} : { headers });
    expect(judgement).toMatchObject({
      action: done,
      decision: { action, reason: why ?? 'as the test says' },
    });
    expect(recorder.events()[1]).toMatchObject({
      kind: 'connect_decision',
      action,
      ...(why === undefined ? {} : { effectiveAction: done, effectiveReason: why }),
    });
    flow.close('shutdown');
  });
});

test('the user is told where there is one', async () => {
  const { openFlow, recorder } = await judged();
  const [anybody, ada] = [openFlow(), openFlow()];
  ada.user = 'ada';
  targetReceived(anybody);
  targetReceived(ada);
  const [first, second] = recorder.events();
  expect(first).not.toHaveProperty('user');
  expect(second).toMatchObject({ kind: 'connect_received', user: 'ada' });
});
