// The only place that calls a handler: deadlines, isolation of its errors, counters, and the rule that every hook of a
// connection waits for its `onConnectionOpen`. Nothing that a handler does can throw out of here, except on purpose:
// with `handler.recoverFromPanics: false` a failing decision ends its flow.
import { inspect } from 'node:util';

import { type Authority, writeReply } from 'mitm-http';
import type { Logger, Metrics } from 'mitm-observe';

import type { MitmConfig } from './config/index.ts';
import type { Connection } from './connection.ts';
import { errorText, Failure } from './failure.ts';
import { isPromise, isThenable } from './flow-queue.ts';
import type { Flow } from './flow.ts';
import {
  allow,
  type Awaitable,
  block,
  type HandlerContext,
  type HandlerDecision,
  type InterceptHandler,
  isBlockStatus,
} from './handler.ts';
import type { RawRequest, RawResponse, StreamChunk } from './messages.ts';
import { readRouteAnswer } from './route-answer.ts';
import type { RouteChoice } from './route.ts';

/** The hooks that are shown the process, by themselves or in the facts of the connection. */
const processHooks = [
  'shouldInterceptTls',
  'resolveRoute',
  'onConnectionOpen',
  'onRequest',
  'onResponse',
  'onStreamChunk',
  'onWebSocketStart',
] as const satisfies readonly (keyof InterceptHandler)[];

/** A call that did not answer properly: it threw, answered nonsense, or took too long. */
class HookFailure {
  readonly why: string;
  constructor(why: string) {
    this.why = why;
  }
}

/** Its signal is made only when a handler reads it. */
class CallContext implements HandlerContext {
  /** The flow whose end makes the answer useless; none for a call that may outlive its flow. */
  readonly #flow: Flow | undefined;
  #controller: AbortController | undefined;

  constructor(flow?: Flow) {
    this.#flow = flow;
    this.#controller = undefined;
  }

  get signal(): AbortSignal {
    this.#controller ??= this.#newController();
    return this.#controller.signal;
  }

  abort(): void {
    this.#controller?.abort(new DOMException('the time for this handler call has passed', 'TimeoutError'));
  }

  #newController(): AbortController {
    const controller = new AbortController();
    const ended = this.#flow?.signal;
    if (ended?.aborted === true) controller.abort(ended.reason);
    else ended?.addEventListener('abort', () => controller.abort(ended.reason), { once: true });
    return controller;
  }
}

export class HandlerRunner {
  readonly handler: InterceptHandler;
  readonly metrics: Metrics;
  readonly logger: Logger;

  constructor(handler: InterceptHandler, metrics: Metrics, logger: Logger) {
    this.handler = handler;
    this.metrics = metrics;
    this.logger = logger;
  }

  /** True when a hook is implemented that is shown the client's process. */
  get readsProcess(): boolean {
    return processHooks.some((hook) => this.handler[hook] !== undefined);
  }

  /**
   * Starts `onConnectionOpen`, when the client's process is known if that is looked for. Later hooks of the connection wait for it,
   * the path does not.
   */
  connectionOpened(connection: Connection, config: MitmConfig): void {
    const open = (): Awaitable<unknown> => {
      if (this.handler.onConnectionOpen === undefined) return undefined;
      return this.#guard('onConnectionOpen', config.handler.responseTimeoutMs, () =>
        this.handler.onConnectionOpen?.(connection.meta),
      );
    };
    const call = connection.attributed === undefined ? open() : connection.attributed.then(open);
    if (!isPromise(call)) return;
    connection.opened = call.then(() => {
      connection.opened = undefined;
    });
  }

  /**
   * Asks `shouldInterceptTls`. A failing handler tunnels (`failureMode: "open"`) or blocks (`"closed"`).
   *
   * @throws Failure `handler_error` when the handler fails and `handler.recoverFromPanics` is false
   */
  async shouldInterceptTls(flow: Flow, host: string): Promise<'intercept' | 'decline' | 'fail_closed'> {
    if (this.handler.shouldInterceptTls === undefined) return 'intercept';
    await flow.connection.opened;
    const answer = await this.#guard('shouldInterceptTls', flow.config.handler.requestTimeoutMs, () =>
      this.handler.shouldInterceptTls?.(host, flow.connection.processInfo),
    );
    if (!(answer instanceof HookFailure)) return answer === false ? 'decline' : 'intercept';
    refuseToRecover(flow, 'shouldInterceptTls', answer.why);
    if (flow.config.handler.failureMode === 'closed') return 'fail_closed';
    this.metrics.handlerFailedOpen();
    return 'decline';
  }

  /** True when a handler chooses the way that traffic goes on. */
  get choosesRoutes(): boolean {
    return this.handler.resolveRoute !== undefined;
  }

  /**
   * Asks `resolveRoute`. A failing handler leaves the choice to the configuration (`failureMode: "open"`) or ends in a 503
   * (`"closed"`).
   *
   * @throws Failure `blocked` with that 503, or `handler_error` when `handler.recoverFromPanics` is false
   */
  async resolveRoute(
    flow: Flow,
    target: Authority,
    hasWay: (name: string) => boolean,
  ): Promise<RouteChoice | undefined> {
    await flow.connection.opened;
    const context = new CallContext(flow);
    const answer = await this.#guard<unknown>(
      'resolveRoute',
      flow.config.handler.requestTimeoutMs,
      () => this.handler.resolveRoute?.(target, flow.connection.processInfo, context),
      context,
    );
    const why = answer instanceof HookFailure ? answer.why : undefined;
    try {
      if (why === undefined) return readRouteAnswer(answer, hasWay);
    } catch (error) {
      this.#threw('resolveRoute', error);
    }
    refuseToRecover(flow, 'resolveRoute', why ?? 'invalid route');
    if (flow.config.handler.failureMode === 'open') {
      this.metrics.handlerFailedOpen();
      return undefined;
    }
    throw new Failure('blocked', {
      side: 'internal',
      detail: 'handler_failed_closed',
      reply: { status: 503, body: 'no way to this target could be chosen\n' },
    });
  }

  /** Tells `onTlsFailure`, beside the path. */
  tlsFailed(flow: Flow, host: string, error: string): void {
    if (this.handler.onTlsFailure === undefined) return;
    this.#detached(flow.connection, 'onTlsFailure', flow.config.handler.requestTimeoutMs, () =>
      this.handler.onTlsFailure?.(host, error),
    );
  }

  /**
   * Asks `onRequest`. Answers at once, without a promise, when the handler does.
   *
   * @throws Failure `handler_error` when the handler fails and `handler.recoverFromPanics` is false
   */
  decide(flow: Flow, request: RawRequest): Awaitable<HandlerDecision> {
    const opened = flow.connection.opened;
    if (opened !== undefined) return opened.then(() => this.#decideNow(flow, request));
    return this.#decideNow(flow, request);
  }

  /** Tells `onRequest` of a request that has gone on already (`interceptMode: "monitor"`); its verdict is ignored. */
  observeRequest(flow: Flow, request: RawRequest): Awaitable<void> {
    const context = new CallContext();
    return this.#observe(flow, 'onRequest', flow.config.handler.requestTimeoutMs, context, () =>
      this.handler.onRequest?.(current(flow, request), context),
    );
  }

  /** Tells `onResponse`. */
  observeResponse(flow: Flow, response: RawResponse): Awaitable<void> {
    const context = new CallContext();
    return this.#observe(flow, 'onResponse', flow.config.handler.responseTimeoutMs, context, () =>
      this.handler.onResponse?.(current(flow, response), context),
    );
  }

  /** Tells `onWebSocketStart`. */
  observeWebSocketStart(flow: Flow, response: RawResponse): Awaitable<void> {
    const context = new CallContext();
    return this.#observe(flow, 'onWebSocketStart', flow.config.handler.responseTimeoutMs, context, () =>
      this.handler.onWebSocketStart?.(current(flow, response), context),
    );
  }

  /** Tells `onStreamChunk`. */
  observeChunk(flow: Flow, chunk: StreamChunk): Awaitable<void> {
    const context = new CallContext();
    return this.#observe(flow, 'onStreamChunk', flow.config.handler.responseTimeoutMs, context, () =>
      this.handler.onStreamChunk?.(chunk, context),
    );
  }

  /** Tells `onStreamEnd`, when everything of the flow has been delivered. */
  streamEnded(flow: Flow): Awaitable<void> {
    if (this.handler.onStreamEnd === undefined) return undefined;
    return this.#observe(flow, 'onStreamEnd', flow.config.handler.responseTimeoutMs, undefined, () =>
      this.handler.onStreamEnd?.(flow.connection.id, flow.id),
    );
  }

  /** Tells `onConnectionClose`, after every other hook of the connection. */
  connectionClosed(connection: Connection, config: MitmConfig): Awaitable<void> {
    if (this.handler.onConnectionClose === undefined) return undefined;
    const call = (): Awaitable<void> => this.handler.onConnectionClose?.(connection.id);
    const guarded = (): Awaitable<void | HookFailure> =>
      this.#guard('onConnectionClose', config.handler.responseTimeoutMs, call);
    const done = connection.opened === undefined ? guarded() : connection.opened.then(guarded);
    return isPromise(done) ? done.then(() => undefined) : undefined;
  }

  #decideNow(flow: Flow, request: RawRequest): Awaitable<HandlerDecision> {
    const context = new CallContext(flow);
    const answer = this.#guard(
      'onRequest',
      flow.config.handler.requestTimeoutMs,
      () => this.handler.onRequest?.(current(flow, request), context),
      context,
    );
    return isPromise(answer)
      ? answer.then((value) => this.#verdict(flow, value))
      : this.#verdict(flow, answer);
  }

  #verdict(flow: Flow, answer: HandlerDecision | undefined | HookFailure): HandlerDecision {
    if (!(answer instanceof HookFailure)) {
      const fault = decisionFault(answer);
      if (fault === undefined) return answer ?? allow;
      this.metrics.handlerPanic();
      this.logger.warn({ flowId: flow.id, fault }, 'handler returned no valid decision');
    }
    refuseToRecover(flow, 'onRequest', answer instanceof HookFailure ? answer.why : 'invalid decision');
    if (flow.config.handler.failureMode === 'closed') {
      return block(503, 'the request could not be judged\n', { reasonCode: 'handler_failed_closed' });
    }
    this.metrics.handlerFailedOpen();
    return allow;
  }

  #observe(
    flow: Flow,
    hook: string,
    timeoutMs: number,
    context: CallContext | undefined,
    call: () => Awaitable<unknown>,
  ): Awaitable<void> {
    const guarded = (): Awaitable<unknown> => this.#guard(hook, timeoutMs, call, context);
    const opened = flow.connection.opened;
    const done = opened === undefined ? guarded() : opened.then(guarded);
    return isPromise(done) ? done.then(() => undefined) : undefined;
  }

  #detached(connection: Connection, hook: string, timeoutMs: number, call: () => Awaitable<unknown>): void {
    const guarded = (): Awaitable<unknown> => this.#guard(hook, timeoutMs, call);
    const done = connection.opened === undefined ? guarded() : connection.opened.then(guarded);
    // Tracked, since `onConnectionClose` comes after every other hook. #guard never rejects, so neither does this.
    if (isPromise(done)) connection.track(done.then(() => undefined));
  }

  /** Runs one hook: never throws or rejects, and a hook that answers without a promise starts no timer. */
  #guard<T>(
    hook: string,
    timeoutMs: number,
    call: () => Awaitable<T>,
    context?: CallContext,
  ): Awaitable<T | HookFailure> {
    const beganMs = performance.now();
    let pending: Promise<T>;
    try {
      const answer = call();
      if (!isThenable(answer)) {
        this.#tookSince(beganMs);
        return answer;
      }
      // A thenable that is no promise may throw, or answer twice; as a promise it can't.
      pending = Promise.resolve(answer);
    } catch (error) {
      this.#tookSince(beganMs);
      return this.#threw(hook, error);
    }
    return new Promise((resolve) => {
      let isOver = false;
      const timer = setTimeout(() => {
        isOver = true;
        this.#tookSince(beganMs);
        this.metrics.handlerTimeout();
        this.logger.warn({ hook, timeoutMs }, 'handler took too long');
        context?.abort();
        resolve(new HookFailure(`no answer within ${timeoutMs} ms`));
      }, timeoutMs);
      pending.then(
        (value) => {
          clearTimeout(timer);
          if (isOver) return;
          this.#tookSince(beganMs);
          resolve(value);
        },
        (error: unknown) => {
          clearTimeout(timer);
          const failure = this.#threw(hook, error);
          if (isOver) return;
          this.#tookSince(beganMs);
          resolve(failure);
        },
      );
    });
  }

  #tookSince(beganMs: number): void {
    this.metrics.took('handler', performance.now() - beganMs);
  }

  #threw(hook: string, error: unknown): HookFailure {
    this.metrics.handlerPanic();
    this.logger.warn({ hook, error: errorText(error) }, 'handler failed');
    return new HookFailure(errorText(error));
  }
}

/** A message that was put together before the connection was told of, with what has become known of it since. */
function current<T extends RawRequest | RawResponse>(flow: Flow, message: T): T {
  const { meta } = flow.connection;
  return message.connectionMeta === meta ? message : { ...message, connectionMeta: meta };
}

/** Ends the flow of a failed decision where the configuration wants that. @throws Failure `handler_error` */
function refuseToRecover(flow: Flow, hook: string, why: string): void {
  if (flow.config.handler.recoverFromPanics) return;
  throw new Failure('handler_error', { side: 'internal', detail: `${hook}: ${why}` });
}

/** What is wrong with a returned decision; undefined when it is a valid one. Callers without types can return anything. */
function decisionFault(decision: unknown): string | undefined {
  if (typeof decision !== 'object' || decision === null || !('action' in decision)) {
    return `received ${inspect(decision, { depth: 0 })}`;
  }
  if (decision.action === 'allow') return undefined;
  if (decision.action !== 'block') return `unknown action ${inspect(decision.action, { depth: 0 })}`;
  if (!('status' in decision) || !isBlockStatus(decision.status))
    return 'block needs a status from 200 to 599';
  if (!('body' in decision) || !(decision.body instanceof Uint8Array)) return 'block needs a body of bytes';
  return 'headers' in decision ? headersFault(decision.status, decision.headers) : undefined;
}

/** What is wrong with the fields of a block: found here, where it is the handler's fault, and not when they are written. */
function headersFault(status: number, headers: unknown): string | undefined {
  if (headers === undefined) return undefined;
  if (!Array.isArray(headers) || !headers.every((text): text is string => typeof text === 'string')) {
    return 'block needs headers as a flat list of names and values';
  }
  try {
    writeReply({ status, headers });
    return undefined;
  } catch (error) {
    return errorText(error);
  }
}
