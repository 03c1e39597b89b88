// What a client that waits for a connection is told, in the protocol in which it asked.
import { Failure } from 'mitm-core';
import { expect, test } from 'vitest';

import { httpAnswering, noAnswering, tlsAnswering } from '../../src/arrival/answering.ts';

const reply = { status: 403, body: 'no\n' };
const blocked = new Failure('blocked', { side: 'internal', reply });

test('HTTP: a 200, or the status of the failure where nothing has been written', () => {
  expect(httpAnswering.granted).toBe('HTTP/1.1 200 Connection Established\r\n\r\n');
  expect(httpAnswering.refusal(blocked, false)?.toString()).toMatch(/^HTTP\/1\.1 403 /);
  expect(httpAnswering.refusal(blocked, true)).toBeUndefined();
  expect(httpAnswering.refusal(new Failure('blocked', { side: 'internal' }), false)).toBeUndefined();
});

test.each([
  ['blocked', 49],
  ['route_planner_failed', 112],
  ['connect_parse_failed', 80],
  ['upstream_connect_failed', 80],
] as const)('TLS: %s is alert %i, and nothing once something has been written', (reason, alert) => {
  const failure = new Failure(reason, { side: 'internal', reply });
  expect(tlsAnswering.granted).toBe('');
  expect(tlsAnswering.refusal(failure, false)).toEqual(Buffer.from([21, 3, 3, 0, 2, 2, alert]));
  expect(tlsAnswering.refusal(failure, true)).toBeUndefined();
});

test('others are told nothing', () => {
  expect([noAnswering.granted, noAnswering.refusal(blocked, false)]).toEqual(['', undefined]);
});
