// What becomes of a CONNECT when policy, the HTTP/3 hint and the handler have been heard.
import type { InterceptHandler, MitmConfigInput } from 'mitm-core';
import type { MitmEvent } from 'mitm-observe';
import { describe, expect, test } from 'vitest';

import { kindsOf } from '../../../../testing/lab/events.ts';
import { refusedPort, startTcpEcho } from '../../../../testing/lab/origins.ts';
import { detailsOf, openClient, reasonsOf, startProxy } from '../proxy-lab.ts';

interface Row {
  readonly rule: string;
  readonly config?: Partial<MitmConfigInput>;
  readonly handler?: InterceptHandler;
  readonly headers?: string;
  readonly status: number;
  /** Whether raw bytes came back from the echo origin. */
  readonly isTunnelled: boolean;
  readonly decision: Record<string, unknown>;
  readonly kinds?: readonly string[];
}

const open = { destinations: ['*:*'] };
const hint = 'X-Proxy-Protocol: h3\r\n';
const broken: InterceptHandler = {
  shouldInterceptTls: () => {
    throw new Error('broken');
  },
};
const matched = { action: 'intercept', reason: 'interception_scope_match' };

const rows: readonly Row[] = [
  {
    rule: 'policy block is 403',
    config: { interception: { ...open, blockedHosts: ['localhost'] } },
    status: 403,
    isTunnelled: false,
    decision: { action: 'block', reason: 'blocked_host' },
  },
  {
    rule: 'CP-27 policy tunnel passes, and the handler is not asked',
    config: { interception: { ...open, ignoreHosts: ['localhost'] } },
    handler: broken,
    status: 200,
    isTunnelled: true,
    decision: { action: 'tunnel', reason: 'ignored_host' },
  },
  {
    rule: 'CP-40 what is not listed is blocked where the rest does not pass',
    config: { interception: { destinations: ['other:443'], passthroughUnlisted: false } },
    status: 403,
    isTunnelled: false,
    decision: { action: 'block', reason: 'destination_not_allowed' },
  },
  {
    rule: 'an override that forces the tunnel',
    config: { compatibilityOverrides: [{ ruleId: 'r', hostPattern: 'localhost', forceTunnel: true }] },
    status: 200,
    isTunnelled: true,
    decision: {
      action: 'tunnel',
      reason: 'compat_override_force_tunnel',
      overrideRuleId: 'r',
      overrideHostPattern: 'localhost',
      overrideForceTunnel: true,
      overrideDisableH2: false,
      overrideStrictHeaderMode: false,
      overrideSkipUpstreamVerify: false,
    },
  },
  {
    rule: 'the HTTP/3 hint is believed where it is allowed, and the handler is not asked',
    config: { http3Passthrough: true },
    handler: broken,
    headers: hint,
    status: 200,
    isTunnelled: true,
    decision: { ...matched, effectiveAction: 'tunnel', effectiveReason: 'http3_hint' },
    kinds: ['connect_received', 'connect_decision', 'http3_passthrough', 'stream_closed'],
  },
  {
    rule: 'the HTTP/3 hint does not loosen a block',
    config: { http3Passthrough: true, interception: { ...open, blockedHosts: ['localhost'] } },
    headers: hint,
    status: 403,
    isTunnelled: false,
    decision: { action: 'block', reason: 'blocked_host' },
  },
  {
    rule: 'a handler that declines tunnels',
    handler: { shouldInterceptTls: () => false },
    status: 200,
    isTunnelled: true,
    decision: { ...matched, effectiveAction: 'tunnel', effectiveReason: 'handler_declined' },
  },
  {
    rule: 'a handler that fails tunnels in failure mode open',
    handler: broken,
    status: 200,
    isTunnelled: true,
    decision: { ...matched, effectiveAction: 'tunnel', effectiveReason: 'handler_declined' },
  },
  {
    rule: 'a handler that fails blocks in failure mode closed',
    config: { handler: { failureMode: 'closed' } },
    handler: broken,
    status: 403,
    isTunnelled: false,
    decision: { ...matched, effectiveAction: 'block', effectiveReason: 'handler_failed_closed' },
  },
];

describe('a CONNECT', () => {
  test.each(rows)('$rule', async ({ config = {}, handler = {}, headers = '', ...expected }) => {
    await using origin = await startTcpEcho();
    await using proxy = await startProxy({ config, handler });
    await using client = await openClient(proxy.port);
    client.send(`CONNECT ${origin.authority} HTTP/1.1\r\nHost: o\r\n${headers}\r\n`);
    expect(await client.receive('\r\n\r\n')).toMatch(new RegExp(`^HTTP/1\\.1 ${expected.status} `));
    if (expected.isTunnelled) {
      client.send('\0raw');
      await client.receive('\0raw');
    }
    client.stream.end();
    await client.rest();
    const events = await proxy.settled();
    const { decision, isTunnelled } = expected;
    expect(decisionOf(events)).toEqual(decision);
    expect(kindsOf(events)).toEqual(
      expected.kinds ?? ['connect_received', 'connect_decision', 'stream_closed'],
    );
    expect(reasonsOf(events)).toEqual([isTunnelled ? 'relay_eof' : 'blocked']);
    expect(origin.connectionCount).toBe(isTunnelled ? 1 : 0);
  });

  test('the HTTP/3 hint is nothing unless it is allowed: the handler is asked', async () => {
    const asked: string[] = [];
    await using origin = await startTcpEcho();
    await using proxy = await startProxy({
      handler: {
        shouldInterceptTls: (host) => {
          asked.push(host);
          return false;
        },
      },
    });
    await using client = await openClient(proxy.port);
    client.send(`CONNECT ${origin.authority} HTTP/1.1\r\nHost: o\r\n${hint}\r\n`);
    await client.receive('\r\n\r\n');
    expect(asked).toEqual(['localhost']);
  });

  test.each(['localhost', '127.0.0.1', '[::1]'])('SG-04 to the proxy itself by %s is 508', async (host) => {
    await using proxy = await startProxy();
    await using client = await openClient(proxy.port);
    client.send(`CONNECT ${host}:${proxy.port} HTTP/1.1\r\nHost: o\r\n\r\n`);
    expect(await client.rest()).toMatch(/^HTTP\/1\.1 508 Loop Detected\r\n/);
    const events = await proxy.settled();
    expect(kindsOf(events)).toEqual(['stream_closed']);
    expect(reasonsOf(events)).toEqual(['route_planner_failed']);
    expect(detailsOf(events)).toEqual(['target is the proxy itself']);
  });

  test('H1-15 to an origin that refuses is 502, intercepted or not', async () => {
    const port = await refusedPort();
    for (const ignoreHosts of [[], ['localhost']]) {
      await using proxy = await startProxy({ config: { interception: { ...open, ignoreHosts } } });
      await using client = await openClient(proxy.port);
      client.send(`CONNECT localhost:${port} HTTP/1.1\r\nHost: o\r\n\r\n`);
      expect(await client.rest()).toMatch(/^HTTP\/1\.1 502 Bad Gateway\r\n/);
      expect(reasonsOf(await proxy.settled())).toEqual(['upstream_connect_failed']);
      expect(proxy.engine.snapshot().upstreamConnectErrorCount).toBe(1);
    }
  });

  test('CP-06 CP-10 five hundred at once are all served', async () => {
    const count = 500;
    await using origin = await startTcpEcho();
    await using proxy = await startProxy({
      config: { interception: { ...open, ignoreHosts: ['localhost'] } },
    });
    await Promise.all(
      Array.from({ length: count }, async (_, index) => {
        await using client = await openClient(proxy.port);
        client.send(`CONNECT ${origin.authority} HTTP/1.1\r\nHost: o\r\n\r\nclient ${index};`);
        expect(await client.receive(`client ${index};`)).toMatch(/^HTTP\/1\.1 200 /);
        client.stream.end();
        await client.rest();
      }),
    );
    const events = await proxy.settled();
    const kinds = kindsOf(events);
    for (const kind of ['connect_received', 'connect_decision', 'stream_closed'])
      expect(kinds.filter((entry) => entry === kind)).toHaveLength(count);
    expect(new Set(reasonsOf(events))).toEqual(new Set(['relay_eof']));
    expect(origin.connectionCount).toBe(count);
    expect(proxy.engine.snapshot()).toMatchObject({ totalConnections: count, flowPermitDenialCount: 0 });
  });
});

/** The payload of the one decision, without what every event has. */
function decisionOf(events: readonly MitmEvent[]): Record<string, unknown> {
  const event = events.find(({ kind }) => kind === 'connect_decision');
  const general = new Set([
    'kind',
    'context',
    'sequenceId',
    'flowSequenceId',
    'occurredAtMonotonicNs',
    'occurredAtUnixMs',
    'parentFlowId',
    'schemaVersion',
  ]);
  return Object.fromEntries(
    Object.entries(event ?? {}).filter(([name, value]) => !general.has(name) && value !== undefined),
  );
}
