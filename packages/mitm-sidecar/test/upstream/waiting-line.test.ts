// Who came first is served first, nobody waits longer than its time, and nobody is left waiting.
import { Failure, type Flow } from 'mitm-core';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { Http2Outbound } from '../../src/http2/outbound.ts';
import type { Outbound } from '../../src/relay/sides.ts';
import { WaitingLine } from '../../src/upstream/waiting-line.ts';
import { createRuntime } from '../runtime-fixture.ts';

interface Request {
  readonly flow: Flow;
  readonly name: string;
}

const fixture = await createRuntime();
const request = (name: string): Request => ({ name, flow: fixture.openFlow() });
const failure = (detail: string) => () =>
  new Failure('upstream_connect_failed', { side: 'internal', detail });

/** A connection; what it does is of no importance here. */
function connection(): Outbound {
  const session = {
    streamOver: () => {},
    touched: () => {},
    allowsConnectProtocol: false,
    authenticated: () => {},
    fault: undefined,
    lossError: undefined,
  };
  return new Http2Outbound(session, fixture.engine.config, { client: {}, isReused: false, isBound: false });
}

/** Joins, and notes under its name how the waiting ended. */
function waiting(line: WaitingLine<Request>, notes: string[], asked: Request, timeoutMs = 1_000): void {
  line.join(asked, timeoutMs, failure('late')).then(
    () => notes.push(`${asked.name} served`),
    (error: unknown) => notes.push(`${asked.name} ${String(error)}`),
  );
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});

test('whoever came first is first, and is taken first', async () => {
  const line = new WaitingLine<Request>();
  const notes: string[] = [];
  for (const name of ['a', 'b', 'c']) waiting(line, notes, request(name));
  const order: (string | undefined)[] = [];
  for (let turn = 0; turn < 4; turn += 1) {
    order.push(line.first?.request.name);
    const waiter = line.take();
    expect(waiter?.request.name).toBe(order.at(-1));
    waiter?.resolve(connection());
  }
  expect(order).toEqual(['a', 'b', 'c', undefined]);
  await vi.waitFor(() => expect(notes).toEqual(['a served', 'b served', 'c served']));
  expect(vi.getTimerCount()).toBe(0);
});

test('those who may not be served keep their place', () => {
  const line = new WaitingLine<Request>();
  for (const name of ['a', 'b', 'c']) waiting(line, [], request(name));
  expect(line.take(({ name }) => name === 'd')).toBeUndefined();
  expect(line.take(({ name }) => name !== 'a')?.request.name).toBe('b');
  expect(line.take()?.request.name).toBe('a');
});

test('a turn that does not come in time fails its waiter, and no other', async () => {
  const line = new WaitingLine<Request>();
  const notes: string[] = [];
  waiting(line, notes, request('short'), 100);
  waiting(line, notes, request('long'), 200);
  await vi.advanceTimersByTimeAsync(150);
  expect(notes).toEqual(['short Failure: late']);
  expect(line.first?.request.name).toBe('long');
  await vi.advanceTimersByTimeAsync(100);
  expect(notes).toEqual(['short Failure: late', 'long Failure: late']);
  expect([line.first, line.take()]).toEqual([undefined, undefined]);
});

test('an exchange that is over leaves; one that does not wait has nothing to leave', async () => {
  const line = new WaitingLine<Request>();
  const notes: string[] = [];
  const [a, b] = [request('a'), request('b')];
  waiting(line, notes, a);
  waiting(line, notes, b);
  line.leave(a.flow, failure('gone'));
  line.leave(a.flow, failure('gone twice'));
  await vi.waitFor(() => expect(notes).toEqual(['a Failure: gone']));
  expect(line.first?.request).toBe(b);
  expect(vi.getTimerCount()).toBe(1);
});

test('at the end everybody is told, in order', async () => {
  const line = new WaitingLine<Request>();
  const notes: string[] = [];
  for (const name of ['a', 'b']) waiting(line, notes, request(name));
  line.dismiss(failure('closed'));
  await vi.waitFor(() => expect(notes).toEqual(['a Failure: closed', 'b Failure: closed']));
  expect([line.first, vi.getTimerCount()]).toEqual([undefined, 0]);
});
