// Answers that the proxy gives itself: complete, with the right length, and never a field that could break their framing.
import { STATUS_CODES } from 'node:http';

import { HttpError, quoted } from './errors.ts';
import { formatFieldLines, isFieldText } from './field-lines.ts';
import type { HeaderList } from './header-map.ts';

/** An answer of the proxy itself. */
export interface Reply {
  /** 200 to 599. */
  readonly status: number;
  readonly headers?: HeaderList;
  /** Text is sent as UTF-8. Left out of answers that have no content: to HEAD, and 204, 205, 304. */
  readonly body?: Uint8Array | string;
  /** The standard phrase of the status unless given. */
  readonly reason?: string;
}

/** What an accepted CONNECT is answered with; the tunnel follows, so there is no length (RFC 9110 §9.3.6). */
export const connectEstablishedHead = 'HTTP/1.1 200 Connection Established\r\n\r\n';
/** Tells a client that waits with its body to send it (RFC 9110 §15.2.1). */
export const continueHead = 'HTTP/1.1 100 Continue\r\n\r\n';

const framingFields: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/**
 * The bytes of an answer: status line, the caller's fields, `Content-Type: text/plain; charset=utf-8` where there is a body
 * of no other type, `Content-Length`, `Connection: close` unless the connection stays. To HEAD the length is the body's and the
 * body is left out.
 * @throws {HttpError} `invalid_reply` for a status outside 200 to 599, for a field that frames the message, and for names,
 * values or a reason that would not read back as they were given.
 */
export function writeReply(
  reply: Reply,
  options?: { readonly isHead?: boolean; readonly keepAlive?: boolean },
): Buffer {
  const { status, headers = [], reason = STATUS_CODES[status] ?? '' } = reply;
  checkStatus(status);
  if (!isFieldText(reason)) {
    throw new HttpError(
      'invalid_reply',
      `reason ${quoted(reason)} has a line end, a control character or one beyond latin1`,
    );
  }
  const body = contentOf(reply);
  let head = `HTTP/1.1 ${status} ${reason}\r\n${fieldLines(headers)}`;
  if (body.length > 0 && !hasField(headers, 'content-type')) {
    head += 'Content-Type: text/plain; charset=utf-8\r\n';
  }
  if (status !== 204 && status !== 304) head += `Content-Length: ${body.length}\r\n`;
  if (options?.keepAlive !== true) head += 'Connection: close\r\n';
  const bytes = Buffer.from(`${head}\r\n`, 'latin1');
  return options?.isHead === true || body.length === 0 ? bytes : Buffer.concat([bytes, body]);
}

/** An answer in HTTP/2. */
export interface H2Reply {
  /** Pseudo field first, names in lower case. */
  readonly fields: HeaderList;
  /** Empty where the answer has none. */
  readonly body: Uint8Array;
}

/**
 * The same answer as fields and body of HTTP/2 (RFC 9113 §8.3.2).
 * @throws {HttpError} as {@link writeReply}.
 */
export function h2Reply(reply: Reply, options?: { readonly isHead?: boolean }): H2Reply {
  const { status, headers = [] } = reply;
  checkStatus(status);
  fieldLines(headers);
  const body = contentOf(reply);
  const fields = [':status', String(status)];
  for (let i = 0; i < headers.length; i += 2)
    fields.push((headers[i] ?? '').toLowerCase(), headers[i + 1] ?? '');
  if (body.length > 0 && !hasField(headers, 'content-type')) {
    fields.push('content-type', 'text/plain; charset=utf-8');
  }
  if (status !== 204 && status !== 304) fields.push('content-length', String(body.length));
  return { fields, body: options?.isHead === true ? Buffer.alloc(0) : body };
}

function checkStatus(status: number): void {
  if (Number.isInteger(status) && status >= 200 && status <= 599) return;
  throw new HttpError('invalid_reply', `status ${status} is no final status: use 200 to 599`);
}

function contentOf({ status, body }: Reply): Uint8Array {
  if (status === 204 || status === 205 || status === 304) return Buffer.alloc(0);
  return typeof body === 'string' ? Buffer.from(body, 'utf8') : (body ?? Buffer.alloc(0));
}

function fieldLines(headers: HeaderList): string {
  if (headers.length % 2 !== 0) {
    throw new HttpError(
      'invalid_reply',
      `headers are pairs of name and value, not ${headers.length} strings`,
    );
  }
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] ?? '';
    if (framingFields.has(name.toLowerCase())) {
      throw new HttpError('invalid_reply', `header ${quoted(name)} is set by the proxy: leave it out`);
    }
  }
  try {
    return formatFieldLines(headers);
  } catch (error) {
    if (error instanceof HttpError) throw new HttpError('invalid_reply', error.message);
    throw error;
  }
}

function hasField(headers: HeaderList, lowerName: string): boolean {
  return headers.some((text, index) => index % 2 === 0 && text.toLowerCase() === lowerName);
}
