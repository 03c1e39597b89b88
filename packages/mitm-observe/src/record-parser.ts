// Reads one line of the event log back, strictly: what is not exactly a record of this format is none.
import { type EventRecord, eventLogSchema } from './event-record.ts';

/** The record that a line holds, its keys in the order of the format; undefined for any other text. */
export function parseEventRecord(line: string): EventRecord | undefined {
  const value = parseJson(line);
  if (!isObject(value) || value['schema'] !== eventLogSchema) return undefined;
  const { sequence_id, flow_id, flow_sequence_id, kind, protocol, stream_key } = value;
  const { client_addr, server_host, server_port, attributes } = value;
  if (!isCount(sequence_id) || !isCount(flow_id) || !isCount(flow_sequence_id) || !isCount(server_port))
    return undefined;
  if (typeof kind !== 'string' || typeof protocol !== 'string' || typeof stream_key !== 'string')
    return undefined;
  if (typeof client_addr !== 'string' || typeof server_host !== 'string') return undefined;
  if (!isTextTable(attributes)) return undefined;
  return {
    schema: eventLogSchema,
    sequence_id,
    flow_id,
    flow_sequence_id,
    kind,
    protocol,
    stream_key,
    client_addr,
    server_host,
    server_port,
    attributes,
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isTextTable(value: unknown): value is Readonly<Record<string, string>> {
  return isObject(value) && Object.values(value).every((text) => typeof text === 'string');
}
