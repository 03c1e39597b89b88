// The two invariants that hold for every sequence of events, whatever the traffic was: order (G1) and one close per flow (G2).
import { AssertionError } from 'node:assert';

import { closeReasons } from 'mitm-observe';

/** What the assertions need of an event; every event of the proxy fits. */
export interface EventLike {
  readonly sequenceId: number;
  readonly flowSequenceId: number;
  readonly kind: string;
  readonly context: { readonly flowId: number };
  readonly occurredAtMonotonicNs: number | bigint;
  readonly reasonCode?: unknown;
}

function fail(message: string): never {
  throw new AssertionError({ message });
}

function show(event: EventLike): string {
  return `${event.kind} (sequence ${event.sequenceId}, flow ${event.context.flowId}.${event.flowSequenceId})`;
}

/** The flows that appear, in the order of their first event. */
export function flowIdsOf(events: readonly EventLike[]): number[] {
  return [...new Set(events.map((event) => event.context.flowId))];
}

/** The kinds in order, of one flow if an id is given. */
export function kindsOf(events: readonly EventLike[], flowId?: number): string[] {
  const chosen = flowId === undefined ? events : events.filter((event) => event.context.flowId === flowId);
  return chosen.map((event) => event.kind);
}

/**
 * G1: the global number is positive and strictly rising, the flow's number likewise within its flow, and the monotonic time is
 * strictly rising. Throws an `AssertionError` that names the first event out of order; an empty list is out of order, too.
 */
export function expectOrdered(events: readonly EventLike[]): void {
  if (events.length === 0) fail('there is no event whose order could be checked');
  const lastOfFlow = new Map<number, number>();
  let previous: EventLike | undefined;
  for (const event of events) {
    const flowBefore = lastOfFlow.get(event.context.flowId) ?? 0;
    if (event.sequenceId <= (previous?.sequenceId ?? 0)) fail(`the sequence does not rise at ${show(event)}`);
    if (event.flowSequenceId <= flowBefore) {
      fail(`the flow's sequence does not rise at ${show(event)}: ${flowBefore} came before`);
    }
    if (previous && BigInt(event.occurredAtMonotonicNs) <= BigInt(previous.occurredAtMonotonicNs)) {
      fail(`the monotonic time does not rise at ${show(event)}, after ${show(previous)}`);
    }
    lastOfFlow.set(event.context.flowId, event.flowSequenceId);
    previous = event;
  }
}

/**
 * G2: each flow has exactly one `stream_closed`, as its last event, with a reason of the closed set (`reasons`
 * replaces the proxy's own). Throws an `AssertionError` that shows the flow's events.
 */
export function expectClosedOnce(
  events: readonly EventLike[],
  reasons: readonly string[] = closeReasons,
): void {
  if (events.length === 0) fail('there is no event, so no flow that could be closed');
  const flows = new Map<number, EventLike[]>();
  for (const event of events) {
    // What the engine reports belongs to no flow, and ends with none.
    if (event.context.flowId === 0) continue;
    const known = flows.get(event.context.flowId);
    if (known === undefined) flows.set(event.context.flowId, [event]);
    else known.push(event);
  }
  for (const [flowId, ofFlow] of flows) {
    const kinds = kindsOf(ofFlow).join(', ');
    const closes = ofFlow.filter((event) => event.kind === 'stream_closed');
    const [close] = closes;
    if (!close || closes.length > 1) fail(`flow ${flowId} closed ${closes.length} times: ${kinds}`);
    if (close !== ofFlow.at(-1)) fail(`flow ${flowId} goes on after its close: ${kinds}`);
    if (typeof close.reasonCode !== 'string' || !reasons.includes(close.reasonCode)) {
      fail(`flow ${flowId} closed for an unknown reason, ${JSON.stringify(close.reasonCode)}`);
    }
  }
}
