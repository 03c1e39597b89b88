import { beforeEach, describe, expect, test } from 'vitest';

import { FlowSummaries, type FlowSummary } from '../src/flow-summary.ts';
import { TrafficStage } from './traffic-stage.ts';

const request = {
  method: 'GET',
  target: '/a?b',
  version: 'HTTP/1.1',
  headerCount: 1,
  scheme: 'https',
  authority: 'example.org',
};
const answer = { statusCode: 200, reasonPhrase: 'OK', version: 'HTTP/1.1', headerCount: 0 };

let stage: TrafficStage;
let told: FlowSummary[];
beforeEach(() => {
  stage = new TrafficStage();
  told = [];
  stage.bus.subscribe(new FlowSummaries((summary) => told.push(summary)));
});

test('an exchange is told with its answer, its bytes and its time', () => {
  stage.nowMs = 100;
  stage.emit('request_headers', request, { flowId: 2, parent: 1 });
  stage.emit('response_headers', answer, { flowId: 2 });
  stage.nowMs = 142;
  const end = { reasonCode: 'mitm_http_completed', bytesFromClient: 3, bytesFromServer: 10 } as const;
  stage.emit('stream_closed', end, { flowId: 2 });
  expect(told).toHaveLength(1);
  expect(told[0]).toMatchObject({
    flowId: 2,
    method: 'GET',
    url: 'https://example.org/a?b',
    protocol: 'HTTP/1.1',
    status: 200,
    bytesUp: 3,
    bytesDown: 10,
    note: undefined,
  });
  expect(told[0]?.durationMs).toBeCloseTo(42, 3);
});

describe('the URL', () => {
  test.each([
    ['a path', {}, 'https://example.org/a?b'],
    ['absolute form', { target: 'http://other/x' }, 'http://other/x'],
    ['the whole server', { target: '*' }, 'https://example.org'],
    ['nothing but a target', { scheme: undefined, authority: undefined }, '/a?b'],
  ])('from %s', (_rule, change, url) => {
    stage.emit('request_headers', { ...request, ...change }, { flowId: 2, parent: 1 });
    stage.emit('stream_closed', { reasonCode: 'mitm_http_completed' }, { flowId: 2 });
    expect(told[0]?.url).toBe(url);
  });
});

describe('flows without a request', () => {
  test.each([
    [
      'a tunnel',
      { protocol: 'tunnel' },
      { reasonCode: 'relay_eof', bytesFromClient: 7 },
      {
        method: 'CONNECT',
        url: 'example.org:443',
        protocol: 'tunnel',
        status: 'tunnel',
        bytesUp: 7,
        note: undefined,
      },
    ],
    [
      'a tunnel that was refused',
      { protocol: 'tunnel' },
      { reasonCode: 'blocked', reasonDetail: 'blocked_host' },
      { method: 'CONNECT', status: 'blocked', note: 'blocked_host' },
    ],
    [
      'a plain request that was refused',
      { parent: 1 },
      { reasonCode: 'blocked' },
      { method: '-', status: 'blocked', note: 'blocked' },
    ],
    [
      'an origin out of reach',
      { serverHost: '::1', protocol: 'tunnel' },
      { reasonCode: 'upstream_connect_failed', reasonDetail: 'refused' },
      { url: '[::1]:443', status: 'failed', note: 'refused' },
    ],
    [
      'a head that could not be read',
      { serverHost: '<unknown>', serverPort: 0 },
      { reasonCode: 'connect_parse_failed' },
      { method: '-', url: '-', status: 'failed' },
    ],
  ] as const)('%s is told', (_rule, context, end, expected) => {
    stage.emit('connect_received', {}, { flowId: 9, ...context });
    stage.emit('stream_closed', end, { flowId: 9, ...context });
    expect(told).toEqual([expect.objectContaining(expected)]);
  });

  test.each([
    ['a connection that ended well', {}, 'mitm_http_completed'],
    ['a connection that said nothing', { serverHost: '<unknown>', serverPort: 0 }, 'client_aborted'],
  ] as const)('%s is not', (_rule, context, reasonCode) => {
    stage.emit('stream_closed', { reasonCode }, { flowId: 9, ...context });
    expect(told).toEqual([]);
  });

  test('a connection whose requests have been told is not, however it ended', () => {
    stage.emit('connect_received', {}, { flowId: 1 });
    stage.emit('request_headers', request, { flowId: 2, parent: 1 });
    stage.emit('stream_closed', { reasonCode: 'client_aborted' }, { flowId: 2 });
    stage.emit('stream_closed', { reasonCode: 'client_aborted' }, { flowId: 1 });
    expect(told.map(({ flowId, note }) => [flowId, note])).toEqual([[2, 'client_aborted']]);
  });
});

test('what a request became is its protocol', () => {
  stage.emit('request_headers', request, { flowId: 2, parent: 1 });
  stage.emit('stream_closed', { reasonCode: 'websocket_completed' }, { flowId: 2, protocol: 'websocket' });
  expect(told[0]?.protocol).toBe('websocket');
});

test('a flow that began before it listened is left out', () => {
  const late: FlowSummary[] = [];
  stage.emit('connect_received', {}, { flowId: 3, protocol: 'tunnel' });
  stage.bus.subscribe(new FlowSummaries((summary) => late.push(summary)));
  stage.emit('stream_closed', { reasonCode: 'relay_eof' }, { flowId: 3, protocol: 'tunnel' });
  expect(told).toHaveLength(1);
  expect(late).toEqual([]);
});
