// HTTP/2 heads as the text of HTTP/1.1. Every character is checked again here, whatever was checked before: in HTTP/1 a line end or
// a second length inside a field is another message.
import { STATUS_CODES } from 'node:http';

import { quoted } from '../errors.ts';
import { isFieldText, isToken, targetBytes, tokenBytes } from '../field-lines.ts';
import type { BodyFraming } from '../framing.ts';
import type { HeaderList } from '../header-map.ts';
import { h2FieldKind, kindOfH2Field } from './field-kind.ts';
import { H2MessageError } from './message-error.ts';
import { joinedCookie } from './request-head.ts';
import type { H2RequestHead } from './request-head.ts';
import type { H2ResponseHead } from './response-head.ts';

const SP = 0x20;
const HTAB = 0x09;

/** How a request of HTTP/2 is said in HTTP/1.1. */
export interface Http1RequestOptions {
  /** The request target to write. */
  readonly target: string;
  /** The value of Host, which becomes the first field. */
  readonly host: string;
  /** How the body will be written. A length must be the declared one, if any is. */
  readonly framing: BodyFraming;
  readonly dropExpect?: boolean;
  /** Replaces the value of Max-Forwards, where there is one. */
  readonly maxForwards?: number | undefined;
}

/** How a response of HTTP/2 is said in HTTP/1.1. */
export interface Http1ResponseOptions {
  /** The method of the request: nothing is added to an answer to HEAD that would speak of a body. */
  readonly requestMethod: string;
  /** How the body will be written. To a client of HTTP/1.0 `chunked` means: until the connection closes. */
  readonly framing: BodyFraming;
  /** The client's version: 0 for HTTP/1.0. */
  readonly minorVersion: 0 | 1;
  /** The connection closes after this response. */
  readonly isLast: boolean;
}

/**
 * The head of an HTTP/2 request as HTTP/1.1 text (RFC 9113 §8.2.3, §8.3.1, §10.3): Host first, cookie crumbs joined, `Transfer-Encoding`
 * where the framing is chunked, no field of the client's connection (`te` included), all else as received. POST, PUT and PATCH
 * without a body say so with a length of 0 (RFC 9110 §8.6).
 * @throws {H2MessageError} `invalid_field`, `invalid_method`, `invalid_path`, `invalid_authority` for what would not read back as it
 * was given; `conflicting_content_length` where framing and declared length differ; `untranslatable` for an extended CONNECT.
 */
export function http1RequestText(head: H2RequestHead, options: Http1RequestOptions): string {
  const { method } = head;
  const { target, host, framing } = options;
  if (!isToken(method)) throw new H2MessageError('invalid_method', `method ${quoted(method)} is not a token`);
  if (!isVisible(target)) {
    throw new H2MessageError(
      'invalid_path',
      `target ${quoted(target)} is empty or has more than visible ASCII`,
    );
  }
  if (!isVisible(host)) {
    throw new H2MessageError(
      'invalid_authority',
      `host ${quoted(host)} is empty or has more than visible ASCII`,
    );
  }
  if (head.protocol !== '') {
    const message = `CONNECT with :protocol ${quoted(head.protocol)} is no request of HTTP/1`;
    throw new H2MessageError('untranslatable', message);
  }
  if (framing.kind === 'until-close') {
    throw new H2MessageError('untranslatable', 'the body of a request can not end with its connection');
  }
  const impliedLength = method === 'POST' || method === 'PUT' || method === 'PATCH' ? 0 : -1;
  const lines = fieldLines(head.fields, head.regularFrom, {
    contentLength: framedLength(framing, head.contentLength, impliedLength),
    dropsExpect: options.dropExpect === true,
    joinsCookies: head.hasCookieCrumbs,
    maxForwards: options.maxForwards,
  });
  const coding = framing.kind === 'chunked' ? 'transfer-encoding: chunked\r\n' : '';
  return `${method} ${target} HTTP/1.1\r\nHost: ${host}\r\n${lines}${coding}\r\n`;
}

/**
 * The head of an HTTP/2 response as HTTP/1.1 text, with the standard reason phrase: `Transfer-Encoding` where the framing is chunked
 * and the client knows it, `Connection` where its life is not the default one of the client's version, no field of the origin's
 * connection. A response that could have a body and has none gets a length of 0; 1xx and 204 get none (RFC 9110 §8.6).
 * @throws {H2MessageError} `invalid_field`, `invalid_status`, `conflicting_content_length`, as {@link http1RequestText}.
 */
export function http1ResponseText(head: H2ResponseHead, options: Http1ResponseOptions): string {
  const { status } = head;
  const { framing, minorVersion } = options;
  if (!Number.isInteger(status) || status < 100 || status > 999 || status === 101) {
    throw new H2MessageError('invalid_status', `status ${status} is not one of HTTP/2`);
  }
  const lines = fieldLines(head.fields, head.regularFrom, {
    contentLength: responseLength(head, options),
    dropsExpect: false,
    joinsCookies: false,
    maxForwards: undefined,
  });
  const isChunked = framing.kind === 'chunked';
  const coding = isChunked && minorVersion === 1 ? 'transfer-encoding: chunked\r\n' : '';
  const endsConnection = framing.kind === 'until-close' || (isChunked && minorVersion === 0);
  let connection = '';
  if (status >= 200) {
    if (options.isLast || endsConnection) connection = 'Connection: close\r\n';
    else if (minorVersion === 0) connection = 'Connection: keep-alive\r\n';
  }
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines}${coding}${connection}\r\n`;
}

function responseLength(head: H2ResponseHead, { framing, requestMethod }: Http1ResponseOptions): number {
  const { status, contentLength } = head;
  if (status < 200 || status === 204) return -1;
  if (requestMethod === 'CONNECT' && status < 300) return -1;
  // What is declared here is the length that a body would have.
  if (requestMethod === 'HEAD' || status === 304) return contentLength;
  return framedLength(framing, contentLength, 0);
}

/** The length to write, -1 for none. */
function framedLength(framing: BodyFraming, declared: number, implied: number): number {
  if (framing.kind === 'chunked' || framing.kind === 'until-close') return -1;
  const length = framing.kind === 'length' ? framing.length : 0;
  if (declared >= 0 && declared !== length) {
    const message = `content-length declares ${declared} bytes, and the body has ${length}`;
    throw new H2MessageError('conflicting_content_length', message);
  }
  if (framing.kind === 'length' || declared >= 0) return length;
  return implied;
}

interface LinePlan {
  /** -1 writes none. */
  readonly contentLength: number;
  readonly dropsExpect: boolean;
  readonly joinsCookies: boolean;
  readonly maxForwards: number | undefined;
}

function fieldLines(fields: HeaderList, from: number, plan: LinePlan): string {
  let lines = '';
  let isLengthDone = plan.contentLength < 0;
  let isCookieDone = false;
  for (let i = from; i < fields.length; i += 2) {
    const name = fields[i] ?? '';
    let value = fields[i + 1] ?? '';
    checkField(name, value);
    const kind = kindOfH2Field(name);
    if (kind === h2FieldKind.contentLength) {
      if (!isLengthDone) lines += `content-length: ${plan.contentLength}\r\n`;
      isLengthDone = true;
      continue;
    }
    if (kind === h2FieldKind.cookie && plan.joinsCookies) {
      if (isCookieDone) continue;
      value = joinedCookie(fields, i);
      isCookieDone = true;
    } else if (kind === h2FieldKind.expect) {
      if (plan.dropsExpect) continue;
    } else if (kind !== h2FieldKind.other && kind !== h2FieldKind.cookie) continue;
    if (plan.maxForwards !== undefined && name === 'max-forwards') value = String(plan.maxForwards);
    lines += `${name}: ${value}\r\n`;
  }
  return isLengthDone ? lines : `${lines}content-length: ${plan.contentLength}\r\n`;
}

// A name in another case would pass by every rule that names are compared for, and mean the same to an HTTP/1 reader.
function checkField(name: string, value: string): void {
  if (!isLowerToken(name)) {
    throw new H2MessageError('invalid_field', `field name ${quoted(name)} is not a token in lower case`);
  }
  if (!isFieldText(value) || isSpace(value.charCodeAt(0)) || isSpace(value.charCodeAt(value.length - 1))) {
    const message = `the value of ${quoted(name)} has a control character, or a space at its start or end`;
    throw new H2MessageError('invalid_field', message);
  }
}

function isLowerToken(name: string): boolean {
  for (let i = 0; i < name.length; i++) {
    const c = name.charCodeAt(i);
    if (tokenBytes[c] !== 1 || (c >= 0x41 && c <= 0x5a)) return false;
  }
  return name !== '';
}

function isVisible(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (targetBytes[text.charCodeAt(i)] !== 1) return false;
  return text !== '';
}

function isSpace(c: number): boolean {
  return c === SP || c === HTAB;
}
