// What a handler is shown of an exchange, made from the facts of its messages and what was captured of their bodies.
import type { Capture } from './capture.ts';
import { type DecodedBody, decodedBody, noBytes } from './decoded-body.ts';
import type { RequestFacts, ResponseFacts } from './exchange-facts.ts';
import { isPromise } from './flow-queue.ts';
import type { Flow } from './flow.ts';
import type { Awaitable } from './handler.ts';
import { endToEndHeaders, type RawRequest, type RawResponse } from './messages.ts';

/** A request and what the exchange knows of it besides its head. */
export interface RequestView {
  readonly flow: Flow;
  readonly request: RequestFacts;
  readonly scheme: 'http' | 'https';
  readonly authority: string;
  readonly path: string;
}

/** The request with what was captured of its body. @param hasBody whether there is one where nothing was captured */
export function requestView(
  view: RequestView,
  capture: Capture | undefined,
  hasBody: boolean,
): Awaitable<RawRequest> {
  const { flow, request } = view;
  const make = (body: DecodedBody): RawRequest => ({
    method: request.method,
    scheme: view.scheme,
    authority: view.authority,
    path: view.path,
    httpVersion: request.version,
    headers: endToEndHeaders(request.headers, request.connection ?? ''),
    body: body.bytes,
    bodyTruncated: body.isTruncated,
    encodingError: body.hasError,
    decoding: body.decoding,
    flowId: flow.id,
    connectionMeta: flow.connection.meta,
    ...(flow.user === undefined ? {} : { user: flow.user }),
  });
  if (capture === undefined) return make({ ...noBytes, isTruncated: hasBody });
  const body = decodedBody(capture, { flow, headers: request.headers, direction: 'client_to_server' });
  return isPromise(body) ? body.then(make) : make(body);
}

/** The answer with its decoded body. */
export function responseView(
  flow: Flow,
  response: ResponseFacts,
  body: DecodedBody,
  streaming: boolean,
): RawResponse {
  return {
    status: response.status,
    headers: endToEndHeaders(response.headers, response.connection ?? ''),
    body: body.bytes,
    bodyTruncated: body.isTruncated,
    encodingError: body.hasError,
    decoding: body.decoding,
    streaming,
    flowId: flow.id,
    connectionMeta: flow.connection.meta,
  };
}
