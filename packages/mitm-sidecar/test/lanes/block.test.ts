// A target that policy refuses gets an answer that names the reason, and is never dialled.
import type { Decision } from 'mitm-policy';
import { expect, test } from 'vitest';

import { kindsOf } from '../../../../testing/lab/events.ts';
import { startRawOrigin } from '../../../../testing/lab/origins.ts';
import { blockedByPolicy } from '../../src/lanes/block.ts';
import { detailsOf, openClient, reasonsOf, startProxy } from '../proxy-lab.ts';

test('the failure is a 403 with the reason of the decision', () => {
  const decision: Decision = {
    action: 'block',
    reason: 'blocked_host',
    disableH2: false,
    strictHeaderMode: false,
    skipUpstreamVerify: false,
    override: undefined,
  };
  const failure = blockedByPolicy(decision);
  expect(failure.reason).toBe('blocked');
  expect(failure.detail).toBe('blocked_host');
  expect(failure.reply).toEqual({ status: 403, body: 'blocked_host\n' });
});

test('CP-01 CP-07 a blocked CONNECT is answered 403 and opens no upstream socket', async () => {
  await using origin = await startRawOrigin();
  await using proxy = await startProxy({
    config: { interception: { destinations: ['*:*'], blockedHosts: ['localhost'] } },
  });
  await using client = await openClient(proxy.port);
  client.send(`CONNECT ${origin.authority} HTTP/1.1\r\nHost: ${origin.authority}\r\n\r\n`);
  expect(await client.rest()).toBe(
    'HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 13\r\nConnection: close\r\n\r\nblocked_host\n',
  );
  const events = await proxy.settled();
  expect(kindsOf(events)).toEqual(['connect_received', 'connect_decision', 'stream_closed']);
  expect(reasonsOf(events)).toEqual(['blocked']);
  expect(detailsOf(events)).toEqual(['blocked_host']);
  expect(origin.connectionCount).toBe(0);
  expect(proxy.engine.snapshot().blockedCount).toBe(1);
});
