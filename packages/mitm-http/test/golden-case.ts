// Golden cases: bytes as they come, written so that every one of them can be read, and what becomes of the message. The format
// is explained in testing/conformance/golden/README.md.
import { BodyFramer } from '../src/body-framer.ts';
import { HttpError } from '../src/errors.ts';
import { checkHost, isPersistent, requestFraming, responseFraming } from '../src/framing.ts';
import type { BodyFraming } from '../src/framing.ts';
import { headLeniencies } from '../src/head-leniency.ts';
import type { HeadLeniency } from '../src/head-leniency.ts';
import { findHeadEnd, parseRequestHead, parseResponseHead, skipEmptyLines } from '../src/head.ts';
import type { MessageHead, RequestHead } from '../src/head.ts';
import { writeRequestHead, writeResponseHead } from '../src/rewrite.ts';
import { parseTarget } from '../src/target.ts';

export const goldenSides = ['request', 'response'] as const;
export type GoldenSide = (typeof goldenSides)[number];

export interface GoldenCase {
  readonly bytes: Buffer;
  /** What is expected, as {@link outcomeOf} writes it. */
  readonly expected: string;
  /** Responses only: the method of the request they answer. */
  readonly method: string;
  /** Responses only: what is overlooked for this origin. */
  readonly leniencies: readonly HeadLeniency[];
}

/** Reads a case file. Throws for anything but its format, so that a slip cannot pass as a case. */
export function parseGoldenCase(text: string): GoldenCase {
  const [input = '', expected = '', ...more] = text.split('\n----------\n');
  if (expected === '' || more.length > 0) throw new Error('a case has one line of ten dashes');
  const lines = input.split('\n');
  const start = lines.findIndex((line) => !line.startsWith('#'));
  if (start < 1) throw new Error('a case begins with a comment that names its rule');
  let method = 'GET';
  let leniencies: readonly HeadLeniency[] = [];
  for (const line of lines.slice(0, start)) {
    const [, name, value = ''] = /^# @(\w+) (.+)$/.exec(line) ?? [];
    if (name === 'method') method = value;
    else if (name === 'leniency') leniencies = value.split(' ').map(leniencyNamed);
    else if (line.startsWith('# @')) throw new Error(`unknown setting: ${line}`);
  }
  const bytes = Buffer.from(lines.slice(start).map(unescaped).join(''), 'latin1');
  return { bytes, expected: expected.trimEnd(), method, leniencies };
}

function leniencyNamed(name: string): HeadLeniency {
  const found = headLeniencies.find((leniency) => leniency === name);
  if (found === undefined) throw new Error(`unknown leniency: ${name}`);
  return found;
}

const escape = /\\(?:x([\da-f]{2})|\{([^{}]*)\*(\d+)\}|(.))/g;
const namedBytes: Readonly<Record<string, string>> = { r: '\r', n: '\n', t: '\t', '\\': '\\' };

function unescaped(line: string): string {
  const text = line.replaceAll(
    escape,
    (whole: string, hex?: string, unit?: string, count?: string, name?: string) => {
      if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
      if (unit !== undefined) return unescaped(unit).repeat(Number(count));
      const byte = namedBytes[name ?? ''];
      if (byte === undefined) throw new Error(`unknown escape: ${whole}`);
      return byte;
    },
  );
  if (Buffer.from(text, 'latin1').toString('latin1') !== text) throw new Error(`not a byte: ${line}`);
  return text;
}

/** Received text on one line, as case files write it. */
export function escaped(text: string): string {
  return text.replaceAll(/[^ -[\]-~]/g, (byte) => {
    if (byte === '\r') return String.raw`\r`;
    if (byte === '\n') return String.raw`\n`;
    if (byte === '\t') return String.raw`\t`;
    if (byte === '\\') return '\\\\';
    return `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}`;
  });
}

interface ReadMessage {
  readonly framing: BodyFraming;
  readonly isLast: boolean;
  /** The head as it is sent on. */
  readonly sent: string;
}

/** What becomes of a message that arrives in these pieces, after which its connection ends. */
export function outcomeOf(side: GoldenSide, pieces: readonly Uint8Array[], golden: GoldenCase): string {
  try {
    return side === 'request'
      ? relay(pieces, (bytes) => skipEmptyLines(bytes, 0), undefined, readRequest)
      : relay(
          pieces,
          () => 0,
          golden.leniencies,
          (bytes, start, end) => readResponse(bytes, start, end, golden),
        );
  } catch (error) {
    if (!(error instanceof HttpError)) throw error;
    return `${side === 'request' ? error.status : 502} ${error.code}`;
  }
}

function relay(
  pieces: readonly Uint8Array[],
  startOf: (bytes: Buffer) => number,
  leniencies: readonly HeadLeniency[] | undefined,
  read: (bytes: Buffer, start: number, end: number) => ReadMessage,
): string {
  let seen = Buffer.alloc(0);
  let message: ReadMessage | undefined;
  let framer: BodyFramer | undefined;
  let body = '';
  let rest = '';
  for (const piece of pieces) {
    let bytes = Buffer.from(piece);
    let at = 0;
    if (framer === undefined) {
      bytes = seen = Buffer.concat([seen, bytes]);
      const start = startOf(bytes);
      at = findHeadEnd(bytes, start, leniencies);
      if (at < 0) continue;
      message = read(bytes, start, at);
      framer = new BodyFramer(message.framing);
    }
    at = framer.push(bytes, at, (data) => (body += data.toString('latin1')));
    rest += bytes.toString('latin1', at);
  }
  if (message === undefined || framer === undefined) {
    throw new HttpError('incomplete_head', 'the connection ended inside a head');
  }
  framer.end();
  return accepted(message, framer, body, rest);
}

function accepted(
  { framing, isLast, sent }: ReadMessage,
  framer: BodyFramer,
  body: string,
  rest: string,
): string {
  const length = framing.kind === 'length' ? ` ${framing.length}` : '';
  const { trailers = [] } = framer;
  const out = [`accept ${framing.kind}${length}${isLast ? ', then close' : ''}`];
  for (const line of sent.split(/(?<=\r\n)/)) out.push(`> ${escaped(line)}`);
  if (body !== '') out.push(`body ${escaped(body)}`);
  for (let i = 0; i < trailers.length; i += 2) {
    out.push(`trailer ${escaped(`${trailers[i]}: ${trailers[i + 1]}`)}`);
  }
  if (rest !== '') out.push(`rest ${escaped(rest)}`);
  return out.join('\n');
}

// A request as a proxy that is asked by name sends it on: an absolute target makes Host void, and a Host that HTTP/1.0 left out
// is the origin's, here a.test.
function readRequest(bytes: Buffer, start: number, end: number): ReadMessage {
  const head: RequestHead = parseRequestHead(bytes, start, end);
  checkHost(head);
  const target = parseTarget(head);
  const { authority } = target;
  const port = target.scheme === 'https' ? 443 : 80;
  const host =
    authority && (authority.port === port ? authority.host : `${authority.host}:${authority.port}`);
  const sent = writeRequestHead(head, {
    target: target.form === 'absolute' ? target.path : undefined,
    host: host ?? head.host ?? 'a.test',
    keepUpgrade: head.upgrade !== '',
  });
  return messageOf(head, requestFraming(head), sent);
}

function readResponse(bytes: Buffer, start: number, end: number, golden: GoldenCase): ReadMessage {
  const head = parseResponseHead(bytes, start, end, golden.leniencies);
  const sent = writeResponseHead(head, { keepUpgrade: head.status === 101 });
  return messageOf(head, responseFraming(head, golden.method), sent);
}

function messageOf(head: MessageHead, framing: BodyFraming, sent: string): ReadMessage {
  return { framing, isLast: !isPersistent(head) || framing.kind === 'until-close', sent };
}
