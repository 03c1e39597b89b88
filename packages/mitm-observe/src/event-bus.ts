// Numbers the events of one engine and hands them to whoever listens. The numbers do not depend on listeners, an event
// object exists only if someone listens to its kind, and no listener can disturb another or the traffic.
import { EventEmitter } from 'eventemitter3';

import {
  eventKinds,
  type EventKind,
  type EventPayloads,
  type EventSink,
  type FlowContext,
  type MitmEvent,
} from './events.ts';
import type { FlowId } from './ids.ts';
import type { Metrics } from './metrics.ts';

/** Listens to one kind of event. What it throws or rejects with is counted and goes no further. */
export type EventListener<K extends EventKind = EventKind> = (event: MitmEvent<K>) => void | Promise<void>;

/** Where the bus reads time. */
export interface EventClock {
  /** Milliseconds since 1970. */
  unixMs(): number;
  /** Nanoseconds since any fixed moment; it may stand still but not go back. */
  monotonicNs(): bigint;
}

export interface EventBusOptions {
  /** Told the first error of each distinct listener. */
  readonly onListenerError?: ((error: unknown, kind: EventKind) => void) | undefined;
  /** Counts every event that is emitted, listened to or not, and the errors of listeners. */
  readonly metrics?: Metrics | undefined;
  /** The system's clocks when absent. */
  readonly clock?: EventClock | undefined;
}

/** What the bus itself knows of an event on its way. */
type Emitted = Pick<MitmEvent, 'kind'>;

/** Whoever is called with events of the kinds it was registered for, and only those. */
interface Receiver {
  receive(event: Emitted): unknown;
}
type Delivery = (event: Emitted) => void;

const systemClock: EventClock = { unixMs: Date.now, monotonicNs: () => process.hrtime.bigint() };

/** Typed events of one engine: the event's name is its kind. */
export class EventBus {
  readonly #emitter = new EventEmitter<EventKind>();
  readonly #clock: EventClock;
  readonly #metrics: Metrics | undefined;
  readonly #onListenerError: ((error: unknown, kind: EventKind) => void) | undefined;
  readonly #originNs: bigint;
  /** The guarded form of each listener, so that `off` finds it again. */
  readonly #deliveries = new WeakMap<object, Delivery>();
  readonly #reported = new WeakSet();
  /** Events emitted by listeners; they wait until the event in delivery has reached everyone. */
  readonly #waiting: Emitted[] = [];
  /** The context that was frozen last: most events come several of a flow at a time. */
  #frozen: FlowContext | undefined;
  #isDelivering = false;
  #lastSequenceId = 0;
  #lastMonotonicNs = -1n;
  #listenerErrorCount = 0;

  constructor(options: EventBusOptions = {}) {
    this.#clock = options.clock ?? systemClock;
    this.#metrics = options.metrics;
    this.#onListenerError = options.onListenerError;
    this.#originNs = this.#clock.monotonicNs();
  }

  /** The id of the last event, 0 before the first. */
  get lastSequenceId(): number {
    return this.#lastSequenceId;
  }

  /** How many times a listener threw or rejected. */
  get listenerErrorCount(): number {
    return this.#listenerErrorCount;
  }

  /** Calls `listener` for every event of this kind. */
  on<K extends EventKind>(kind: K, listener: EventListener<K>): this {
    this.#emitter.on(kind, this.#guarded(listener));
    return this;
  }

  /** Calls `listener` for the next event of this kind. */
  once<K extends EventKind>(kind: K, listener: EventListener<K>): this {
    this.#emitter.once(kind, this.#guarded(listener));
    return this;
  }

  /** Ends what `on` or `once` began; a listener that is not there is no error. */
  off<K extends EventKind>(kind: K, listener: EventListener<K>): this {
    const delivery = this.#deliveries.get(listener);
    if (delivery !== undefined) this.#emitter.off(kind, delivery);
    return this;
  }

  /** Hands every event to `sink`, until the function that is returned is called. It does not flush or close the sink. */
  subscribe(sink: EventSink): () => void {
    const delivery = this.#guard(sink, { receive: (event: MitmEvent) => sink.consume(event) });
    for (const kind of eventKinds) this.#emitter.on(kind, delivery);
    return () => {
      for (const kind of eventKinds) this.#emitter.off(kind, delivery);
    };
  }

  /** Whether anyone listens to this kind: without, not even a payload need be made. */
  wants(kind: EventKind): boolean {
    return this.#emitter.listenerCount(kind) > 0;
  }

  /**
   * Takes the next sequence id and, if anyone listens to this kind, delivers the event before returning. Called by a
   * listener, it delivers after the current event has reached everyone, so that all see the same order. Never throws.
   */
  emit<K extends EventKind>(
    kind: K,
    context: FlowContext,
    flowSequenceId: number,
    payload: EventPayloads[K],
    parentFlowId?: FlowId,
  ): void {
    this.#lastSequenceId += 1;
    this.#metrics?.count(kind, payload);
    if (this.#emitter.listenerCount(kind) === 0) return;
    // Shared by all events of its flow, so no listener may change it for the others.
    if (context !== this.#frozen) this.#frozen = Object.freeze(context);
    const header = {
      kind,
      sequenceId: this.#lastSequenceId,
      flowSequenceId,
      context,
      occurredAtUnixMs: this.#clock.unixMs(),
      occurredAtMonotonicNs: this.#nextMonotonicNs(),
      ...(parentFlowId === undefined ? undefined : { parentFlowId }),
    };
    this.#deliver(Object.assign(header, payload));
  }

  /** Takes the next sequence id for an event that nobody listens to: the numbers are the same as if somebody did. */
  skip(): void {
    this.#lastSequenceId += 1;
  }

  /** Emits a piece of a body; its payload is made only if someone listens to this kind. */
  emitBytes(
    kind: 'request_body_chunk' | 'response_body_chunk',
    context: FlowContext,
    flowSequenceId: number,
    bytes: number,
    http2StreamId?: number,
  ): void {
    if (this.#emitter.listenerCount(kind) === 0) this.skip();
    else
      this.emit(
        kind,
        context,
        flowSequenceId,
        http2StreamId === undefined ? { bytes } : { bytes, http2StreamId },
      );
  }

  #nextMonotonicNs(): bigint {
    const elapsed = this.#clock.monotonicNs() - this.#originNs;
    this.#lastMonotonicNs = elapsed > this.#lastMonotonicNs ? elapsed : this.#lastMonotonicNs + 1n;
    return this.#lastMonotonicNs;
  }

  #deliver(event: Emitted): void {
    if (this.#isDelivering) {
      this.#waiting.push(event);
      return;
    }
    this.#isDelivering = true;
    let next: Emitted | undefined = event;
    while (next !== undefined) {
      this.#emitter.emit(next.kind, next);
      next = this.#waiting.shift();
    }
    this.#isDelivering = false;
  }

  #guarded<K extends EventKind>(listener: EventListener<K>): Delivery {
    const known = this.#deliveries.get(listener);
    if (known !== undefined) return known;
    const delivery = this.#guard(listener, { receive: listener });
    this.#deliveries.set(listener, delivery);
    return delivery;
  }

  #guard(owner: object, receiver: Receiver): Delivery {
    return (event) => {
      try {
        const result = receiver.receive(event);
        if (isThenable(result))
          result.then(undefined, (error: unknown) => this.#listenerFailed(owner, error, event.kind));
      } catch (error) {
        this.#listenerFailed(owner, error, event.kind);
      }
    };
  }

  #listenerFailed(owner: object, error: unknown, kind: EventKind): void {
    this.#countListenerError();
    if (this.#reported.has(owner)) return;
    this.#reported.add(owner);
    try {
      this.#onListenerError?.(error, kind);
    } catch {
      // Whoever reports errors is a listener too: counted like the others.
      this.#countListenerError();
    }
  }

  #countListenerError(): void {
    this.#listenerErrorCount += 1;
    this.#metrics?.listenerFailed();
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
