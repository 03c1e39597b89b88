// What the events tell of one gRPC call: its request, the head of its answer, and how it ended, in that order. Recognised by the
// content type of the request alone.
import { type GrpcCall, grpcCallOf, type HeaderList, isTrailersOnly } from 'mitm-http';

import type { RequestFacts, ResponseFacts } from './exchange-facts.ts';
import type { Flow } from './flow.ts';

export class GrpcObservation {
  readonly #flow: Flow;
  readonly #call: GrpcCall;
  readonly #path: string;
  readonly #requestContentType: string;
  #isEnded: boolean;

  constructor(flow: Flow, call: GrpcCall, facts: { readonly path: string; readonly contentType: string }) {
    this.#flow = flow;
    this.#call = call;
    this.#path = facts.path;
    this.#requestContentType = facts.contentType;
    this.#isEnded = false;
  }

  /** Begins to observe a request, if it is a call. Calls are POSTs over HTTP/2. */
  static of(flow: Flow, request: RequestFacts, path: string): GrpcObservation | undefined {
    if (request.method !== 'POST' || request.version !== 'HTTP/2') return undefined;
    const contentType = request.headers.get('content-type');
    const call = grpcCallOf(contentType, path);
    if (contentType === undefined || call === undefined) return undefined;
    const observation = new GrpcObservation(flow, call, { path, contentType });
    observation.#request(request);
    return observation;
  }

  /** @param isEnded the answer has no body and no trailers */
  response(response: ResponseFacts, isEnded: boolean): void {
    this.#flow.emit('grpc_response_headers', {
      ...this.#fields(2),
      statusCode: response.status,
      headerCount: response.headerCount,
      grpcResponseContentType: response.headers.get('content-type'),
    });
    const { list } = response.headers;
    if (isTrailersOnly(list, isEnded)) this.#ended(list, true);
  }

  trailers(trailers: HeaderList): void {
    this.#ended(trailers, false);
  }

  #request(request: RequestFacts): void {
    this.#flow.emit('grpc_request_headers', {
      ...this.#fields(1),
      headerCount: request.headerCount,
      te: request.headers.get('te'),
      userAgent: request.headers.get('user-agent'),
    });
  }

  #ended(fields: HeaderList, isTrailersOnlyAnswer: boolean): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#flow.emit('grpc_response_trailers', {
      ...this.#fields(3),
      trailerCount: isTrailersOnlyAnswer ? 0 : fields.length / 2,
      grpcTrailersOnly: isTrailersOnlyAnswer ? true : undefined,
      grpcStatus: valueOf(fields, 'grpc-status'),
      grpcMessage: valueOf(fields, 'grpc-message'),
    });
  }

  #fields<N extends 1 | 2 | 3>(sequence: N) {
    const { target, detectionMode } = this.#call;
    return {
      grpcEventSequence: sequence,
      grpcPath: this.#path,
      grpcDetectionMode: detectionMode,
      grpcService: target?.service,
      grpcMethod: target?.method,
      grpcRequestContentType: this.#requestContentType,
      http2StreamId: this.#flow.http2StreamId,
    };
  }
}

function valueOf(fields: HeaderList, name: string): string | undefined {
  for (let i = 0; i < fields.length; i += 2) if (fields[i] === name) return fields[i + 1];
  return undefined;
}
