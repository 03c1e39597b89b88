import { EventEmitter } from 'node:events';

import { expect, test } from 'vitest';

import { StopRequests } from '../src/stop-requests.ts';

function stage(platform: NodeJS.Platform = 'linux') {
  const source = new EventEmitter();
  const exits: number[] = [];
  const clock = { ms: 0 };
  const stops = new StopRequests({
    source,
    exitNow: (code) => exits.push(code),
    nowMs: () => clock.ms,
    platform,
  });
  return { source, exits, clock, stops };
}

test.each(['SIGINT', 'SIGTERM'] as const)('%s is a request to stop', async (signal) => {
  const { source, exits, stops } = stage();
  source.emit(signal);
  expect(await stops.first).toEqual({ kind: 'signal', signal });
  expect(exits).toEqual([]);
});

test('an error that nobody caught is one, too', async () => {
  const { source, stops } = stage();
  const error = new Error('lost');
  source.emit('uncaughtException', error);
  expect(await stops.first).toEqual({ kind: 'crash', error });
});

test.each([
  ['SIGINT', 'SIGINT', 200, [130]],
  ['SIGTERM', 'SIGTERM', 5_000, [143]],
  ['SIGTERM', 'SIGINT', 0, [130]],
  ['SIGINT', 'SIGTERM', 1, [143]],
  ['SIGINT', 'SIGINT', 199, []],
])('%s, then %s %d ms later, exits with %j', async (first, second, laterMs, codes) => {
  const { source, exits, clock, stops } = stage();
  source.emit(first);
  clock.ms += laterMs;
  source.emit(second);
  expect(await stops.first).toMatchObject({ signal: first });
  expect(exits).toEqual(codes);
});

test('SIGHUP asks for a reload, each time', () => {
  const { source, stops } = stage();
  let count = 0;
  source.emit('SIGHUP');
  stops.onReload(() => {
    count += 1;
  });
  source.emit('SIGHUP');
  source.emit('SIGHUP');
  expect(count).toBe(2);
});

test('on Windows SIGHUP is left to the system', () => {
  expect(stage('win32').source.listenerCount('SIGHUP')).toBe(0);
});

test('afterwards the signals are the system’s again', () => {
  const { source, stops } = stage();
  expect(source.eventNames().map(String).toSorted()).toEqual([
    'SIGHUP',
    'SIGINT',
    'SIGTERM',
    'uncaughtException',
  ]);
  stops.close();
  expect(source.eventNames()).toEqual([]);
});
