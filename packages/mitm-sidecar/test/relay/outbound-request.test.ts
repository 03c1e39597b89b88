// What an origin is asked is what the client said, with the changes that its lane planned.
import { Exchange } from 'mitm-core';
import { headLeniencies } from 'mitm-http';
import { describe, expect, test } from 'vitest';

import { outboundRequest, viaMember } from '../../src/relay/outbound-request.ts';
import type { RelayOptions } from '../../src/relay/sides.ts';
import { asked } from '../http2-asked.ts';
import { postFields, webSocketFields } from '../messages.ts';
import { createRuntime } from '../runtime-fixture.ts';

const plain: RelayOptions = {
  target: '/q',
  isDraining: () => false,
  bufferIdleMs: 1_000,
  retryDelayMs: undefined,
  dropsQuic: false,
};

async function requestFor(
  fields: readonly string[],
  changes: Partial<RelayOptions> = {},
  hasContinued = false,
  config: object = {},
) {
  const { openFlow, engine } = await createRuntime({ config });
  const flow = openFlow({ host: 'o.test', port: 443 });
  flow.decision = engine.decide({ host: 'o.test', port: 443 });
  const { inbound } = asked(fields);
  const exchange = new Exchange(flow, {
    request: inbound.head,
    scheme: 'https',
    authority: 'o.test:444',
    path: '/p',
    hasBody: true,
    isUpgrade: false,
  });
  return { inbound, request: outboundRequest(exchange, inbound, { ...plain, ...changes }, hasContinued) };
}

test('it has the client’s head and framing, and the planned target', async () => {
  const { inbound, request } = await requestFor(postFields());
  expect(request).toMatchObject({
    framing: { kind: 'chunked' },
    scheme: 'https',
    authority: 'o.test:444',
    target: '/q',
    host: undefined,
    keepUpgrade: false,
    dropExpect: false,
    maxForwards: undefined,
    isStrict: false,
    via: undefined,
  });
  expect(request.head).toBe(inbound.head);
});

test('it has what was planned to change', async () => {
  const { request } = await requestFor(postFields(), { host: 'n.test', maxForwards: 3, via: 'us' });
  expect(request).toMatchObject({ host: 'n.test', maxForwards: 3, via: '2 us' });
});

describe('it', () => {
  test('is as strict, and as lenient, as its origin needs', async () => {
    const rule = {
      ruleId: 'old',
      hostPattern: 'o.test',
      strictHeaderMode: true,
      responseLeniency: headLeniencies,
    };
    const { request } = await requestFor(postFields(), {}, false, { compatibilityOverrides: [rule] });
    expect(request).toMatchObject({ isStrict: true, responseLeniency: headLeniencies });
  });

  test('keeps the upgrade that a client asks for', async () => {
    expect((await requestFor(webSocketFields)).request.keepUpgrade).toBe(true);
  });

  test('does not ask to continue a client that was told to', async () => {
    expect((await requestFor(postFields(), {}, true)).request.dropExpect).toBe(true);
  });
});

test.each([
  ['us', 'HTTP/1.1', '1.1 us'],
  ['us', 'HTTP/2', '2 us'],
  [undefined, 'HTTP/1.1', undefined],
])('signed by %s, a message of %s says %s', (name, version, expected) => {
  expect(viaMember(name, version)).toBe(expected);
});
