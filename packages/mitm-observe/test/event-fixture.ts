// Events for the tests of this package, in their smallest form.
import { EventBus } from '../src/event-bus.ts';
import type { FlowContext, MitmEvent } from '../src/events.ts';
import { asFlowId } from '../src/ids.ts';

export function contextOf(flowId: number, facts: Partial<FlowContext> = {}): FlowContext {
  return {
    flowId: asFlowId(flowId),
    clientAddr: '127.0.0.1:50000',
    serverHost: 'api.example.test',
    serverPort: 443,
    protocol: 'http1',
    ...facts,
  };
}

/** The events that a bus makes of what `emit` gives it. */
export function eventsOf(emit: (bus: EventBus) => void): MitmEvent[] {
  const events: MitmEvent[] = [];
  const bus = new EventBus();
  bus.subscribe({ consume: (event) => events.push(event) });
  emit(bus);
  return events;
}
