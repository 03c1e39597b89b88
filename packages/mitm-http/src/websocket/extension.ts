// Sec-WebSocket-Extensions: the list as facts (RFC 6455 §9.1), and what permessage-deflate was agreed on (RFC 7692 §7.1).
import type { WebSocketDirection } from './opcode.ts';

/** The one extension whose messages can be read here. */
export const permessageDeflate = 'permessage-deflate';

/** One entry of the list. */
export interface WebSocketExtension {
  readonly name: string;
  /** In their order; the value is `undefined` where there is none. */
  readonly parameters: readonly (readonly [name: string, value: string | undefined])[];
}

/** What permessage-deflate was agreed on. Without a parameter the window has 15 bits and its content is kept. */
export interface DeflateAgreement {
  readonly serverNoContextTakeover: boolean;
  readonly clientNoContextTakeover: boolean;
  /** 8 to 15. */
  readonly serverMaxWindowBits: number;
  /** 8 to 15. */
  readonly clientMaxWindowBits: number;
}

const mostWindowBits = 15;
const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
// A name, with the value that only parameters have; quotes may not be needed around it, and what is in them is a token too.
const partForm = new RegExp(`[ \\t]*(${token})(?:[ \\t]*=[ \\t]*(?:(${token})|"(${token})"))?[ \\t]*`, 'y');
const emptyMemberForm = /[ \t]*(?:,|$)/y;

/** The entries of all fields together, in order; `undefined` when one is not of the grammar. */
export function parseExtensions(values: readonly string[]): readonly WebSocketExtension[] | undefined {
  const extensions: WebSocketExtension[] = [];
  const text = values.join(',');
  let at = 0;
  while (at < text.length) {
    emptyMemberForm.lastIndex = at;
    if (emptyMemberForm.test(text)) {
      at = emptyMemberForm.lastIndex;
      continue;
    }
    const read = extensionAt(text, at);
    if (read === undefined) return undefined;
    extensions.push(read.extension);
    at = read.end;
  }
  return extensions;
}

function extensionAt(text: string, from: number): { extension: WebSocketExtension; end: number } | undefined {
  let name: string | undefined;
  const parameters: [string, string | undefined][] = [];
  let at = from;
  for (;;) {
    partForm.lastIndex = at;
    const part = partForm.exec(text);
    if (part === null) return undefined;
    const value = part[2] ?? part[3];
    const partName = part[1] ?? '';
    if (name !== undefined) parameters.push([partName, value]);
    else if (value === undefined) name = partName;
    else return undefined;
    at = partForm.lastIndex;
    const separator = text[at++];
    if (separator === ';') continue;
    return separator === undefined || separator === ','
      ? { extension: { name, parameters }, end: at }
      : undefined;
  }
}

/** What an answer's `permessage-deflate` entry says; `undefined` when a parameter is unknown, repeated or out of range. */
export function parseDeflateAgreement({ parameters }: WebSocketExtension): DeflateAgreement | undefined {
  const given = new Map(parameters);
  if (given.size < parameters.length) return undefined;
  let knownCount = 0;
  for (const flag of ['server_no_context_takeover', 'client_no_context_takeover']) {
    if (!given.has(flag)) continue;
    if (given.get(flag) !== undefined) return undefined;
    knownCount++;
  }
  for (const bits of ['server_max_window_bits', 'client_max_window_bits']) {
    if (!given.has(bits)) continue;
    if (!/^(?:[89]|1[0-5])$/.test(given.get(bits) ?? '')) return undefined;
    knownCount++;
  }
  if (knownCount < given.size) return undefined;
  return {
    serverNoContextTakeover: given.has('server_no_context_takeover'),
    clientNoContextTakeover: given.has('client_no_context_takeover'),
    serverMaxWindowBits: Number(given.get('server_max_window_bits') ?? mostWindowBits),
    clientMaxWindowBits: Number(given.get('client_max_window_bits') ?? mostWindowBits),
  };
}

/** What was agreed on for the messages of one direction. */
export function deflateOf(
  agreement: DeflateAgreement,
  direction: WebSocketDirection,
): { readonly hasContextTakeover: boolean; readonly windowBits: number } {
  return direction === 'client_to_server'
    ? { hasContextTakeover: !agreement.clientNoContextTakeover, windowBits: agreement.clientMaxWindowBits }
    : { hasContextTakeover: !agreement.serverNoContextTakeover, windowBits: agreement.serverMaxWindowBits };
}
