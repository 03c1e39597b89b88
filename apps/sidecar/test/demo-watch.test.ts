import { HeaderMap, type RawRequest, type RawResponse } from 'soth-mitm';
import { expect, test } from 'vitest';

import { DemoWatch } from '../src/demo-watch.ts';
import { flowIdOf, TrafficStage } from './traffic-stage.ts';

const authority = 'localhost:4000';

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the watch does not look at it
const meta = {} as RawRequest['connectionMeta'];
const common = {
  headers: new HeaderMap([]),
  bodyTruncated: false,
  encodingError: false,
  connectionMeta: meta,
};

function request(flowId: number, host = authority): RawRequest {
  return {
    ...common,
    method: 'POST',
    scheme: 'https',
    authority: host,
    path: '/',
    httpVersion: 'HTTP/1.1',
    body: Buffer.from(`ask ${flowId}`),
    flowId: flowIdOf(flowId),
  };
}

function response(flowId: number): RawResponse {
  return {
    ...common,
    status: 201,
    body: Buffer.from('told'),
    streaming: false,
    flowId: flowIdOf(flowId),
  };
}

function passes(stage: TrafficStage, flowId: number): void {
  const head = { method: 'POST', target: '/', version: 'HTTP/1.1', headerCount: 0 };
  stage.emit('request_headers', { ...head, scheme: 'https', authority }, { flowId });
  stage.emit('stream_closed', { reasonCode: 'mitm_http_completed', bytesFromServer: 4 }, { flowId });
}

test.each([['events first'], ['handler first']])('it waits for handler and events: %s', async (order) => {
  const watch = new DemoWatch(authority);
  const stage = new TrafficStage();
  stage.bus.subscribe(watch);
  expect(watch.onRequest(request(1, 'other:1'))).toEqual({ action: 'allow' });
  expect(watch.onRequest(request(2))).toEqual({ action: 'allow' });
  watch.onRequest(request(3));
  passes(stage, 3);
  watch.onResponse(response(3));
  if (order === 'events first') passes(stage, 2);
  watch.onResponse(response(2));
  if (order === 'handler first') passes(stage, 2);
  expect(await watch.seen).toMatchObject({
    summary: { flowId: 2, url: 'https://localhost:4000/', bytesDown: 4 },
    requestBody: 'ask 2',
    answerBody: 'told',
    answerStatus: 201,
  });
});
