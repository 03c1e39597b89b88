// Writes the line of an event as text, many thousand times a second: what depends only on which fields an event has is worked
// out once for each set of fields. What it writes is always the JSON of `deterministicRecord`.
import type { ApplicationProtocol } from 'mitm-http';

import {
  deterministicRecord,
  eventLogSchema,
  type EventRecordOptions,
  isAttribute,
  snakeCase,
  streamKeyOf,
} from './event-record.ts';
import type { EventKind, FlowContext, MitmEvent } from './events.ts';
import { indexRowHead } from './index-row.ts';
import { redactorOf, type RedactionLevel, type Redactor } from './redaction.ts';

/** A line, and what the index says about it before its place is known. The place is for whoever puts it somewhere to fill in. */
export interface EncodedEvent {
  /** Compact JSON and a line feed. */
  readonly line: string;
  readonly lineBytes: number;
  /** See `indexRowHead`. */
  readonly rowHead: string;
  segment: number;
  byteOffset: number;
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
  /** What is written for values that come time and again. */
  readonly known: Map<FieldValue, string>;
}

/** The attributes of all events of a kind and a protocol that have these fields, in this order. */
interface Layout {
  readonly protocol: ApplicationProtocol;
  /** Kind and protocol in a line, up to the stream key, and in a row of the index. */
  readonly kindText: string;
  readonly rowText: string;
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
/** So many values of a field are remembered; one that takes ever new ones gains nothing by more. */
const maxKnownValues = 32;
/** Longer texts are rarely the same. */
const longestKnown = 64;

export class LineEncoder {
  readonly #options: EventRecordOptions;
  readonly #level: RedactionLevel;
  readonly #layouts = new Map<EventKind, Layout[]>();
  /** What all events of one flow have in common; most come several at a time. */
  #context: FlowContext | undefined;
  #contextTexts = { flow: '', flowKey: '', head: '', tail: '' };
  #isContextPlain = false;

  constructor(options: EventRecordOptions = {}) {
    this.#options = options;
    this.#level = options.redaction ?? 'values';
  }

  encode(event: MitmEvent): EncodedEvent {
    const { context } = event;
    if (context !== this.#context) this.#enter(context);
    if (!this.#isContextPlain) return this.#encodeAny(event);
    let keyFields: Record<string, string> | undefined;
    let attributes = '';
    const layout = this.#layoutOf(event);
    for (const column of layout.columns) {
      const value = valueOf(event, column.field);
      if (value === undefined) continue;
      const text = column.known.get(value) ?? textOf(column, value);
      if (text === undefined) return this.#encodeAny(event);
      if (column.isKey) (keyFields ??= {})[column.name] = text.slice(column.prefix.length, -1);
      attributes += attributes === '' ? text : `,${text}`;
    }
    const sequence = String(event.sequenceId);
    const flowSequence = String(event.flowSequenceId);
    const { flow, flowKey, head, tail } = this.#contextTexts;
    const streamKey = keyFields === undefined ? flowKey + flowSequence : streamKeyOf(event, keyFields);
    const line = `${lineBeginning}${sequence}${head}${flowSequence}${layout.kindText}${streamKey}${tail}${attributes}}}\n`;
    const rowHead = `${sequence}${flow}${flowSequence}${layout.rowText}${streamKey}\t`;
    return { line, lineBytes: line.length, rowHead, segment: 0, byteOffset: 0 };
  }

  #enter(context: FlowContext): void {
    const { flowId, clientAddr, serverHost, serverPort } = context;
    this.#context = context;
    this.#isContextPlain = plainText.test(clientAddr) && plainText.test(serverHost);
    this.#contextTexts = {
      flow: `\t${flowId}\t`,
      flowKey: `flow:${flowId}:`,
      head: `,"flow_id":${flowId},"flow_sequence_id":`,
      tail: `","client_addr":"${clientAddr}","server_host":"${serverHost}","server_port":${serverPort},"attributes":{`,
    };
  }

  /** An event with a text that JSON or the index would write otherwise than it is. */
  #encodeAny(event: MitmEvent): EncodedEvent {
    const record = deterministicRecord(event, this.#options);
    const line = `${JSON.stringify(record)}\n`;
    const rowHead = indexRowHead(record);
    return { line, lineBytes: Buffer.byteLength(line), rowHead, segment: 0, byteOffset: 0 };
  }

  #layoutOf(event: MitmEvent): Layout {
    const fields = Object.keys(event);
    const known = this.#layouts.get(event.kind);
    const { protocol } = event.context;
    if (known !== undefined)
      for (const layout of known)
        if (layout.protocol === protocol && isSame(layout.fields, fields)) return layout;
    const layout = this.#newLayout(event.kind, protocol, fields);
    if (known === undefined) this.#layouts.set(event.kind, [layout]);
    else if (known.length < maxLayoutsPerKind) known.push(layout);
    return layout;
  }

  #newLayout(kind: EventKind, protocol: ApplicationProtocol, fields: readonly string[]): Layout {
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
          known: new Map(),
        };
      })
      .toSorted((a, b) => (a.name < b.name ? -1 : 1));
    return {
      protocol,
      kindText: `,"kind":"${kind}","protocol":"${protocol}","stream_key":"`,
      rowText: `\t${kind}\t${protocol}\t`,
      fields,
      columns,
    };
  }
}

function isSame(one: readonly string[], other: readonly string[]): boolean {
  if (one.length !== other.length) return false;
  for (let index = 0; index < one.length; index += 1) if (one[index] !== other[index]) return false;
  return true;
}

/** What is written for a value; undefined where JSON or the index would write it otherwise than it is. */
function textOf({ prefix, redact, known }: Column, value: NonNullable<FieldValue>): string | undefined {
  const raw = typeof value === 'string' ? value : String(value);
  const clean = redact === undefined ? raw : redact(raw);
  if (typeof value === 'string' && !plainText.test(clean)) return undefined;
  const text = `${prefix}${clean}"`;
  // Nothing is remembered of what was withheld.
  if (clean === raw && known.size < maxKnownValues && raw.length <= longestKnown) known.set(value, text);
  return text;
}

/** Text that JSON and the index write as it is, a byte for each character. */
const plainText = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;

/** What payloads and headers are made of. */
type FieldValue = string | number | boolean | undefined;

function valueOf(event: object, field: string): FieldValue {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- read by the names that the event itself gave
  return (event as Readonly<Record<string, FieldValue>>)[field];
}
