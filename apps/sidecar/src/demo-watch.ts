// What the proxy saw of one request, from both sides of its public contract: the handler's hooks, which carry the bodies, and
// the events, which carry sizes and time. It waits until both have told everything.
import {
  allow,
  type EventSink,
  type HandlerDecision,
  type InterceptHandler,
  type MitmEvent,
} from 'soth-mitm';

import { deferred } from './deferred.ts';
import { FlowSummaries, type FlowSummary } from './flow-summary.ts';

/** A request and its answer as the handler and the events told them. */
export interface Sighting {
  readonly summary: FlowSummary;
  readonly requestBody: string;
  readonly answerBody: string;
  readonly answerStatus: number;
}

export class DemoWatch implements InterceptHandler, EventSink {
  /** Resolves when handler and events have told all of the request that is awaited. */
  readonly seen: Promise<Sighting>;
  readonly #resolve: (sighting: Sighting) => void;
  readonly #summaries: FlowSummaries;
  readonly #authority: string;
  #flowId: number | undefined;
  #requestBody: string;
  #answer: { readonly status: number; readonly body: string } | undefined;
  #summary: FlowSummary | undefined;

  /** Waits for the first request to this `host:port`. */
  constructor(authority: string) {
    const { promise, resolve } = deferred<Sighting>();
    this.seen = promise;
    this.#resolve = resolve;
    this.#authority = authority;
    this.#summaries = new FlowSummaries((summary) => this.#ended(summary));
    this.#flowId = undefined;
    this.#requestBody = '';
    this.#answer = undefined;
    this.#summary = undefined;
  }

  onRequest(request: Parameters<NonNullable<InterceptHandler['onRequest']>>[0]): HandlerDecision {
    if (this.#flowId === undefined && request.authority === this.#authority) {
      this.#flowId = request.flowId;
      this.#requestBody = textOf(request.body);
    }
    return allow;
  }

  onResponse(response: Parameters<NonNullable<InterceptHandler['onResponse']>>[0]): void {
    if (response.flowId !== this.#flowId) return;
    this.#answer = { status: response.status, body: textOf(response.body) };
    this.#settle();
  }

  consume(event: MitmEvent): void {
    this.#summaries.consume(event);
  }

  #ended(summary: FlowSummary): void {
    if (summary.flowId !== this.#flowId) return;
    this.#summary = summary;
    this.#settle();
  }

  #settle(): void {
    if (this.#answer === undefined || this.#summary === undefined) return;
    this.#resolve({
      summary: this.#summary,
      requestBody: this.#requestBody,
      answerBody: this.#answer.body,
      answerStatus: this.#answer.status,
    });
  }
}

function textOf(body: Uint8Array): string {
  return Buffer.from(body).toString('utf8');
}
