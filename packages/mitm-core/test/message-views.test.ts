// A handler sees the facts of a message, with hop-by-hop fields left out and what was captured of the body.
import { describe, expect, test } from 'vitest';

import { Capture } from '../src/capture.ts';
import { noBytes } from '../src/decoded-body.ts';
import { requestView, responseView } from '../src/message-views.ts';
import { gzipped, openExchangeFlow, requestFacts, responseFacts, testEngine } from './engine-fixture.ts';

const { engine } = testEngine();
const flow = openExchangeFlow(engine);
const origin = { flow, scheme: 'https', authority: 'api.example.test', path: '/v1' } as const;

describe('a request', () => {
  test.each([true, false])(
    'without a copy of its body is shown empty, and cut if there is one: %s',
    (hasBody) => {
      const request = requestFacts(['Connection', 'X-Hop', 'X-Hop', '1', 'X-Kept', '2']);
      const shown = requestView({ ...origin, request }, undefined, hasBody);
      expect(shown).toMatchObject({
        method: 'POST',
        scheme: 'https',
        authority: 'api.example.test',
        path: '/v1',
        httpVersion: 'HTTP/1.1',
        body: Buffer.alloc(0),
        bodyTruncated: hasBody,
        encodingError: false,
        decoding: undefined,
        flowId: flow.id,
        connectionMeta: flow.connection.meta,
      });
      expect(shown).toHaveProperty('headers.list', ['Host', 'api.example.test', 'X-Kept', '2']);
    },
  );

  test('is shown with its body decoded', async () => {
    const capture = new Capture(1_000, engine.budget);
    capture.push(gzipped);
    const request = requestFacts(['Content-Encoding', 'gzip']);
    const shown = await requestView({ ...origin, request }, capture, true);
    expect(Buffer.from(shown.body).toString()).toBe('plain text');
    expect(shown.decoding?.stages).toMatchObject([{ stage: 'content_decode', status: 'applied' }]);
  });
});

test('an answer is shown with its body, or as the beginning of a stream', () => {
  const response = responseFacts(['Content-Type', 'text/plain', 'Keep-Alive', 'timeout=5'], 201);
  const body = { ...noBytes, bytes: Buffer.from('text'), hasError: true };
  const shown = responseView(flow, response, body, false);
  expect(shown).toMatchObject({
    status: 201,
    body: Buffer.from('text'),
    bodyTruncated: false,
    encodingError: true,
    streaming: false,
  });
  expect(shown.headers.list).toEqual(['Content-Type', 'text/plain']);
  expect(responseView(flow, response, noBytes, true)).toMatchObject({
    streaming: true,
    body: Buffer.alloc(0),
  });
});
