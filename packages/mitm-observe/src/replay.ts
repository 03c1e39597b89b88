// Turns the records of a log back into events, for sinks that would have seen the traffic. Clocks are not in a log: an event that
// is replayed has the time 0 and, in place of the monotonic clock, its sequence id.
import { type ApplicationProtocol, applicationProtocols } from 'mitm-http';

import type { EventRecord } from './event-record.ts';
import { isEventKind, type EventKind, type EventPayloads, type EventSink, type MitmEvent } from './events.ts';
import { asFlowId } from './ids.ts';

type PayloadField = Extract<{ [K in EventKind]: keyof EventPayloads[K] }[EventKind], string>;
type ValueOf<F extends PayloadField> = {
  [K in EventKind]: F extends keyof EventPayloads[K] ? EventPayloads[K][F] : never;
}[EventKind];
type FieldsOf<T> = {
  [F in PayloadField]: [Extract<ValueOf<F>, T>] extends [never] ? never : F;
}[PayloadField];

/** Fields that hold numbers; the compiler knows that none is missing. */
const numberFields = {
  activatesAtUnixMs: true,
  bytes: true,
  bytesFromClient: true,
  bytesFromServer: true,
  bytesIn: true,
  bytesOut: true,
  clientFrameCount: true,
  clientPayloadBytes: true,
  dataLen: true,
  dataLineCount: true,
  endedAtUnixMs: true,
  eventsDropped: true,
  firstFrameSequenceNo: true,
  frameLen: true,
  grpcEventSequence: true,
  headerCount: true,
  http2StreamId: true,
  lastFrameSequenceNo: true,
  opcode: true,
  payloadLen: true,
  retryMs: true,
  sequenceNo: true,
  serverFrameCount: true,
  serverPayloadBytes: true,
  startedAtUnixMs: true,
  statusCode: true,
  strikes: true,
  tlsAlert: true,
  tlsFailureGlobalCount: true,
  tlsFailureHostCount: true,
  tlsFailureHostRollingCount: true,
  tlsFailureReasonCount: true,
  tlsFailureSourceCount: true,
  tlsLearningGlobalApplied: true,
  tlsLearningGlobalIgnored: true,
  tlsLearningHostCount: true,
  trailerCount: true,
  ttlMs: true,
  turnId: true,
} as const satisfies Record<FieldsOf<number>, true>;

/** Fields that hold truth values. */
const booleanFields = {
  echOffered: true,
  fin: true,
  grpcTrailersOnly: true,
  masked: true,
  overrideDisableH2: true,
  overrideForceTunnel: true,
  overrideSkipUpstreamVerify: true,
  overrideStrictHeaderMode: true,
  signalInferred: true,
} as const satisfies Record<FieldsOf<boolean>, true>;

/**
 * The event that a record was made of, without its clocks and without what the log left out or withheld; the text of a
 * server-sent event that was left out is empty. Its record is the given one again.
 *
 * @throws RangeError for a kind or protocol that this version does not know
 */
export function eventOfRecord(record: EventRecord): MitmEvent {
  const { kind, protocol } = record;
  if (!isEventKind(kind)) throw new RangeError(`event kind ${JSON.stringify(kind)} is not known`);
  if (!isProtocol(protocol)) throw new RangeError(`protocol ${JSON.stringify(protocol)} is not known`);
  const { parent_flow_id: parent, ...attributes } = record.attributes;
  const event = {
    kind,
    sequenceId: record.sequence_id,
    flowSequenceId: record.flow_sequence_id,
    context: Object.freeze({
      flowId: asFlowId(record.flow_id),
      clientAddr: record.client_addr,
      serverHost: record.server_host,
      serverPort: record.server_port,
      protocol,
    }),
    occurredAtUnixMs: 0,
    occurredAtMonotonicNs: BigInt(record.sequence_id),
    ...(parent === undefined ? {} : { parentFlowId: asFlowId(Number(parent)) }),
    ...(kind === 'sse_event' ? { data: '' } : {}),
    ...Object.fromEntries(Object.entries(attributes).map(([name, text]) => fieldOf(name, text))),
  };
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the fields of the kind, as they were written
  return event as unknown as MitmEvent;
}

/**
 * Hands the events of a log to a sink, in order, and flushes it.
 *
 * @returns how many there were
 * @throws RangeError as `eventOfRecord` does, and what the records or the sink throw
 */
export async function replayEvents(
  records: AsyncIterable<EventRecord> | Iterable<EventRecord>,
  sink: EventSink,
): Promise<number> {
  let count = 0;
  for await (const record of records) {
    sink.consume(eventOfRecord(record));
    count += 1;
  }
  await sink.flush?.();
  return count;
}

function fieldOf(name: string, text: string): [string, unknown] {
  const field = name.replaceAll(/_([a-z])/g, (_whole, letter: string) => letter.toUpperCase());
  if (Object.hasOwn(numberFields, field)) return [field, Number(text)];
  if (Object.hasOwn(booleanFields, field)) return [field, text === 'true'];
  return [field, text];
}

function isProtocol(text: string): text is ApplicationProtocol {
  return applicationProtocols.some((protocol) => protocol === text);
}
