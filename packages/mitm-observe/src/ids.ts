// The two names under which traffic is reported. They are branded so that one is never passed for the other.

declare const brand: unique symbol;

/** One conversation: a whole tunnel, or one request and its answer. Counts from 1 within an engine. */
export type FlowId = number & { readonly [brand]: 'FlowId' };

/** One accepted client connection (a UUID). It stays out of the event log, whose lines must be repeatable. */
export type ConnectionId = string & { readonly [brand]: 'ConnectionId' };

/** Brands a flow number. Throws RangeError unless it is a whole number from 1. */
export function asFlowId(value: number): FlowId {
  if (!isFlowId(value)) throw new RangeError(`flow id ${value} is refused; give a whole number from 1`);
  return value;
}

/** The flow of facts that belong to none, such as a change of authority: they are the engine's own. */
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the one number that no flow has
export const engineFlowId: FlowId = 0 as FlowId;

/** Brands a connection's name. Throws RangeError when it is empty. */
export function asConnectionId(value: string): ConnectionId {
  if (!isConnectionId(value)) throw new RangeError('connection id "" is refused; give a UUID');
  return value;
}

function isFlowId(value: number): value is FlowId {
  return Number.isSafeInteger(value) && value >= 1;
}

function isConnectionId(value: string): value is ConnectionId {
  return value !== '';
}
