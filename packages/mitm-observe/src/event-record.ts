// The line that the event log writes for an event. It holds no clock and no random id, so that the same traffic gives
// the same lines; making one has no side effect.
import type { MitmEvent } from './events.ts';

export const eventLogSchema = 'soth-mitm-event-log-v2';

/** One line of the event log. The order of the keys is part of the format. */
export interface EventRecord {
  readonly schema: typeof eventLogSchema;
  readonly sequence_id: number;
  readonly flow_id: number;
  readonly flow_sequence_id: number;
  readonly kind: string;
  readonly protocol: string;
  /** Which stream, turn or message the event belongs to; unique only together with `flow_id`. */
  readonly stream_key: string;
  readonly client_addr: string;
  readonly server_host: string;
  readonly server_port: number;
  /** Names in ascending byte order; numbers and booleans as decimal and `true`/`false` text. */
  readonly attributes: Readonly<Record<string, string>>;
}

export interface EventRecordOptions {
  /** Whether the text of server-sent events is written; false when absent, its length always is. */
  readonly includeData?: boolean | undefined;
}

/** Fields of an event that are not attributes. */
const headerFields: ReadonlySet<string> = new Set([
  'kind',
  'sequenceId',
  'flowSequenceId',
  'context',
  'occurredAtUnixMs',
  'occurredAtMonotonicNs',
]);

/** The log line for an event, as a value. */
export function deterministicRecord(event: MitmEvent, options: EventRecordOptions = {}): EventRecord {
  const { context } = event;
  const attributes = attributesOf(event, options.includeData === true);
  return {
    schema: eventLogSchema,
    sequence_id: event.sequenceId,
    flow_id: context.flowId,
    flow_sequence_id: event.flowSequenceId,
    kind: event.kind,
    protocol: context.protocol,
    stream_key: streamKeyOf(event, attributes),
    client_addr: context.clientAddr,
    server_host: context.serverHost,
    server_port: context.serverPort,
    attributes,
  };
}

function attributesOf(event: MitmEvent, includeData: boolean): Record<string, string> {
  const attributes: [string, string][] = [];
  for (const [field, value] of Object.entries(event)) {
    if (value === undefined || headerFields.has(field)) continue;
    if (field === 'data' && !includeData) continue;
    attributes.push([snakeCase(field), String(value)]);
  }
  attributes.sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(attributes);
}

function snakeCase(field: string): string {
  return field.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function streamKeyOf(event: MitmEvent, attributes: Readonly<Record<string, string>>): string {
  const {
    http2_stream_id: stream,
    turn_id: turn,
    sequence_no: message,
    grpc_event_sequence: grpc,
    grpc_path: path,
  } = attributes;
  if (stream !== undefined) return `h2:${stream}`;
  if (turn !== undefined) return `ws_turn:${turn}`;
  if (message !== undefined) return `sequence:${message}`;
  if (grpc !== undefined) return path === undefined ? `grpc:${grpc}` : `grpc:${path}:${grpc}`;
  return `flow:${event.context.flowId}:${event.flowSequenceId}`;
}
