// The line that the event log writes for an event. It holds no clock and no random id, so that the same traffic gives
// the same lines; making one has no side effect.
import type { MitmEvent } from './events.ts';
import { redactorOf, type RedactionLevel } from './redaction.ts';

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
  /** How much of the texts that came from peers is withheld; `values` when absent. */
  readonly redaction?: RedactionLevel | undefined;
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

/** The attributes that a stream key is made of, as they are written. */
export interface StreamKeyFields {
  readonly http2_stream_id?: string | undefined;
  readonly turn_id?: string | undefined;
  readonly sequence_no?: string | undefined;
  readonly grpc_event_sequence?: string | undefined;
  readonly grpc_path?: string | undefined;
}

/** Whether a field of an event becomes an attribute of its line. */
export function isAttribute(field: string, options: EventRecordOptions): boolean {
  return !headerFields.has(field) && (field !== 'data' || options.includeData === true);
}

/** The log line for an event, as a value. */
export function deterministicRecord(event: MitmEvent, options: EventRecordOptions = {}): EventRecord {
  const { context } = event;
  const attributes = attributesOf(event, options);
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

function attributesOf(event: MitmEvent, options: EventRecordOptions): Record<string, string> {
  const level = options.redaction ?? 'values';
  const attributes: [string, string][] = [];
  for (const [field, value] of Object.entries(event)) {
    if (value === undefined || !isAttribute(field, options)) continue;
    const text = String(value);
    attributes.push([snakeCase(field), redactorOf(field, level)?.(text) ?? text]);
  }
  attributes.sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(attributes);
}

/** `headerCount` as `header_count`. */
export function snakeCase(field: string): string {
  return field.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** Which stream, turn or message an event belongs to, by the first of these facts that it has. */
export function streamKeyOf(
  event: Pick<MitmEvent, 'context' | 'flowSequenceId'>,
  attributes: StreamKeyFields,
): string {
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
