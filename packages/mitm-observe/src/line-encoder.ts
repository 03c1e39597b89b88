// Writes the line of an event as text, many thousand times a second: what depends only on which fields an event has is worked
// out once for each set of fields. What it writes is always the JSON of `deterministicRecord`.
import {
  deterministicRecord,
  eventLogSchema,
  type EventRecordOptions,
  isAttribute,
  snakeCase,
  streamKeyOf,
} from './event-record.ts';
import type { EventKind, MitmEvent } from './events.ts';
import { indexRowHead } from './index-row.ts';
import { redactorOf, type RedactionLevel, type Redactor } from './redaction.ts';

/** A line, and what the index says about it before its place is known. */
export interface EncodedEvent {
  /** Compact JSON and a line feed. */
  readonly line: string;
  readonly lineBytes: number;
  /** See `indexRowHead`. */
  readonly rowHead: string;
}

/** One attribute of a line. */
interface Column {
  readonly field: string;
  readonly name: string;
  /** `"name":"` */
  readonly prefix: string;
  readonly redact: Redactor | undefined;
  /** Whether the stream key may be made of it. */
  readonly isKey: boolean;
}

/** The attributes of all events that have these fields, in this order. */
interface Layout {
  readonly fields: readonly string[];
  readonly columns: readonly Column[];
}

const streamKeyNames: ReadonlySet<string> = new Set([
  'http2_stream_id',
  'turn_id',
  'sequence_no',
  'grpc_event_sequence',
  'grpc_path',
]);

const lineBeginning = `{"schema":"${eventLogSchema}","sequence_id":`;

/** More sets of fields than this of one kind are worked out each time. */
const maxLayoutsPerKind = 16;

export class LineEncoder {
  readonly #options: EventRecordOptions;
  readonly #level: RedactionLevel;
  readonly #layouts = new Map<EventKind, Layout[]>();

  constructor(options: EventRecordOptions = {}) {
    this.#options = options;
    this.#level = options.redaction ?? 'values';
  }

  encode(event: MitmEvent): EncodedEvent {
    const { context, kind } = event;
    const { clientAddr, serverHost } = context;
    let texts = clientAddr + serverHost;
    let keyFields: Record<string, string> | undefined;
    let attributes = '';
    for (const { field, name, prefix, redact, isKey } of this.#layoutOf(event).columns) {
      const value = valueOf(event, field);
      if (value === undefined) continue;
      let text = typeof value === 'string' ? value : String(value);
      if (redact !== undefined) text = redact(text);
      if (typeof value === 'string') texts += text;
      if (isKey) (keyFields ??= {})[name] = text;
      attributes += attributes === '' ? `${prefix}${text}"` : `,${prefix}${text}"`;
    }
    if (!plainText.test(texts)) return this.#encodeAny(event);
    const sequence = String(event.sequenceId);
    const flow = String(context.flowId);
    const flowSequence = String(event.flowSequenceId);
    const streamKey =
      keyFields === undefined ? `flow:${flow}:${flowSequence}` : streamKeyOf(event, keyFields);
    const line =
      `${lineBeginning}${sequence},"flow_id":${flow},"flow_sequence_id":${flowSequence},"kind":"${kind}","protocol":"` +
      `${context.protocol}","stream_key":"${streamKey}","client_addr":"${clientAddr}","server_host":"${serverHost}",` +
      `"server_port":${context.serverPort},"attributes":{${attributes}}}\n`;
    const rowHead = `${sequence}\t${flow}\t${flowSequence}\t${kind}\t${context.protocol}\t${streamKey}\t`;
    return { line, lineBytes: line.length, rowHead };
  }

  /** An event with a text that JSON or the index would write otherwise than it is. */
  #encodeAny(event: MitmEvent): EncodedEvent {
    const record = deterministicRecord(event, this.#options);
    const line = `${JSON.stringify(record)}\n`;
    return { line, lineBytes: Buffer.byteLength(line), rowHead: indexRowHead(record) };
  }

  #layoutOf(event: MitmEvent): Layout {
    const fields = Object.keys(event);
    const known = this.#layouts.get(event.kind);
    const found = known?.find((layout) => isSame(layout.fields, fields));
    if (found !== undefined) return found;
    const layout = this.#newLayout(fields);
    if (known === undefined) this.#layouts.set(event.kind, [layout]);
    else if (known.length < maxLayoutsPerKind) known.push(layout);
    return layout;
  }

  #newLayout(fields: readonly string[]): Layout {
    const columns = fields
      .filter((field) => isAttribute(field, this.#options))
      .map((field): Column => {
        const name = snakeCase(field);
        return {
          field,
          name,
          prefix: `"${name}":"`,
          redact: redactorOf(field, this.#level),
          isKey: streamKeyNames.has(name),
        };
      })
      .toSorted((a, b) => (a.name < b.name ? -1 : 1));
    return { fields, columns };
  }
}

function isSame(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((field, index) => field === other[index]);
}

/** Text that JSON and the index write as it is, a byte for each character. */
const plainText = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;

/** What payloads and headers are made of. */
type FieldValue = string | number | boolean | undefined;

function valueOf(event: object, field: string): FieldValue {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- read by the names that the event itself gave
  return (event as Readonly<Record<string, FieldValue>>)[field];
}
