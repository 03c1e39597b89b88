// A bus on which a test plays traffic by hand, with a clock that the test moves.
import { EventBus, type EventKind, type EventPayloads, type FlowContext, type FlowId } from 'soth-mitm';

export interface Played extends Partial<Omit<FlowContext, 'flowId'>> {
  readonly flowId: number;
  /** The connection's own flow; told with the first event of this one. */
  readonly parent?: number;
}

export class TrafficStage {
  readonly bus: EventBus;
  nowMs = 0;
  readonly #counts = new Map<number, number>();

  constructor() {
    this.bus = new EventBus({
      clock: { unixMs: () => this.nowMs, monotonicNs: () => BigInt(this.nowMs) * 1_000_000n },
    });
  }

  emit<K extends EventKind>(
    kind: K,
    payload: EventPayloads[K],
    { flowId, parent, ...context }: Played,
  ): void {
    const count = (this.#counts.get(flowId) ?? 0) + 1;
    this.#counts.set(flowId, count);
    const isFirst = count === 1 && parent !== undefined;
    this.bus.emit(
      kind,
      {
        clientAddr: '127.0.0.1:5000',
        serverHost: 'example.org',
        serverPort: 443,
        protocol: 'http1',
        ...context,
        flowId: flowIdOf(flowId),
      },
      count,
      payload,
      isFirst ? flowIdOf(parent) : undefined,
    );
  }
}

/** A number as the id of a flow. */
export function flowIdOf(value: number): FlowId {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only an engine makes them, and here is none
  return value as FlowId;
}
