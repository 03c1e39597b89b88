// What the events tell of a gRPC call: each of its three stages once, in their order, and nothing of what is no call.
import { describe, expect, test } from 'vitest';

import type { Flow } from '../src/flow.ts';
import { GrpcObservation } from '../src/grpc-observation.ts';
import { openExchange, openExchangeFlow, requestFacts, responseFacts, testEngine } from './engine-fixture.ts';

const contentType = 'application/grpc+proto';
const path = '/pkg.Greeter/Hello';

function callFacts(type: string = contentType, version = 'HTTP/2', method = 'POST') {
  return requestFacts(['content-type', type, 'te', 'trailers', 'user-agent', 'grpc-node/1.0'], {
    version,
    method,
  });
}

function answerFacts(headers: readonly string[] = [], status = 200) {
  return { ...responseFacts(['content-type', contentType, ...headers], status), version: 'HTTP/2' };
}

interface Observed {
  readonly flow: Flow;
  readonly observation: GrpcObservation;
  /** What was told since, without the context of each event. */
  readonly told: () => readonly object[];
}

function observe(asked: { readonly path?: string; readonly contentType?: string } = {}): Observed {
  const { engine, recorder } = testEngine();
  const flow = openExchangeFlow(engine);
  flow.http2StreamId = 5;
  const observation = GrpcObservation.of(flow, callFacts(asked.contentType), asked.path ?? path);
  if (observation === undefined) throw new Error('not a call');
  return {
    flow,
    observation,
    told: () => recorder.events().filter(({ kind }) => kind.startsWith('grpc_')),
  };
}

const shared = {
  grpcPath: path,
  grpcDetectionMode: 'content_type_and_path',
  grpcService: 'pkg.Greeter',
  grpcMethod: 'Hello',
  grpcRequestContentType: contentType,
  http2StreamId: 5,
};

describe('what is a call', () => {
  test.each([
    ['gRPC', callFacts(), true],
    ['gRPC-Web', callFacts('application/grpc-web'), true],
    ['a stream of Connect', callFacts('application/connect+json'), true],
    ['but not JSON', callFacts('application/json'), false],
    ['but not a request without a content type', requestFacts([], { version: 'HTTP/2' }), false],
    ['but not over HTTP/1', callFacts(contentType, 'HTTP/1.1'), false],
    ['but not a GET', callFacts(contentType, 'HTTP/2', 'GET'), false],
  ])('%s', (_rule, request, isCall) => {
    const { engine, recorder } = testEngine();
    const observation = GrpcObservation.of(openExchangeFlow(engine), request, path);
    expect(observation !== undefined).toBe(isCall);
    expect(recorder.events().map(({ kind }) => kind)).toEqual(isCall ? ['grpc_request_headers'] : []);
  });
});

test('a call is told as its request, its head and its trailers, in this order', () => {
  const { observation, told } = observe();
  observation.response(answerFacts(['grpc-encoding', 'gzip']), false);
  observation.trailers(['grpc-status', '5', 'grpc-message', 'no such%20name', 'x-more', '1']);
  expect(told()).toMatchObject([
    {
      kind: 'grpc_request_headers',
      ...shared,
      grpcEventSequence: 1,
      headerCount: 4,
      te: 'trailers',
      userAgent: 'grpc-node/1.0',
    },
    {
      kind: 'grpc_response_headers',
      ...shared,
      grpcEventSequence: 2,
      statusCode: 200,
      headerCount: 2,
      grpcResponseContentType: contentType,
    },
    {
      kind: 'grpc_response_trailers',
      ...shared,
      grpcEventSequence: 3,
      trailerCount: 3,
      grpcTrailersOnly: undefined,
      grpcStatus: '5',
      grpcMessage: 'no such%20name',
    },
  ]);
});

test('a path that names no method is told as it is, without service and method', () => {
  const { told } = observe({ path: '/just-one-part' });
  expect(told()).toMatchObject([
    {
      grpcPath: '/just-one-part',
      grpcDetectionMode: 'content_type',
      grpcService: undefined,
      grpcMethod: undefined,
    },
  ]);
});

describe('an answer that is all in its head', () => {
  test('ends the call, and is marked so', () => {
    const { observation, told } = observe();
    observation.response(answerFacts(['grpc-status', '12', 'grpc-message', 'unknown method']), true);
    expect(told().slice(1)).toMatchObject([
      { kind: 'grpc_response_headers', grpcEventSequence: 2 },
      {
        kind: 'grpc_response_trailers',
        grpcEventSequence: 3,
        trailerCount: 0,
        grpcTrailersOnly: true,
        grpcStatus: '12',
        grpcMessage: 'unknown method',
      },
    ]);
  });

  test.each([
    ['not where a body follows', ['grpc-status', '0'], false],
    ['not without a status, as from a server that knows no gRPC', [], true],
  ])('%s', (_rule, headers, isEnded) => {
    const { observation, told } = observe();
    observation.response(answerFacts(headers, 503), isEnded);
    expect(told().slice(1)).toMatchObject([{ kind: 'grpc_response_headers', statusCode: 503 }]);
  });
});

test('the end of a call is told once', () => {
  const { observation, told } = observe();
  observation.response(answerFacts(['grpc-status', '0']), true);
  observation.trailers(['grpc-status', '1']);
  observation.trailers(['grpc-status', '2']);
  expect(told()).toHaveLength(3);
});

test('an exchange tells of its call; one that passes unseen does not', () => {
  const { engine, recorder } = testEngine();
  for (const isUnobserved of [false, true]) {
    const exchange = openExchange(engine, { request: callFacts(), path, isUnobserved });
    exchange.responseHead(answerFacts());
    exchange.responseEnded(['grpc-status', '0']);
    exchange.close('mitm_http_completed');
  }
  expect(recorder.events().map(({ kind }) => kind)).toEqual([
    'request_headers',
    'grpc_request_headers',
    'response_headers',
    'grpc_response_headers',
    'grpc_response_trailers',
    'stream_closed',
    'stream_closed',
  ]);
});

test('trailers that come after the close are not told', () => {
  const { engine, recorder } = testEngine();
  const exchange = openExchange(engine, { request: callFacts(), path });
  exchange.responseHead(answerFacts());
  exchange.close('client_aborted');
  exchange.responseEnded(['grpc-status', '0']);
  expect(recorder.events().at(-1)).toMatchObject({ kind: 'stream_closed' });
});
