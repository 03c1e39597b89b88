// Heads as field lists of HTTP/2, whichever version they came in: what belongs to one connection only is taken out, everything else
// is said as it was. A list of HTTP/2 with nothing to change is sent on itself.
import { fieldKind, offsetsPerField, trimSpace } from '../field-lines.ts';
import { chunkedBody, noBody } from '../framing.ts';
import type { BodyFraming } from '../framing.ts';
import type { MessageHead, RequestHead, ResponseHead } from '../head.ts';
import type { HeaderList } from '../header-map.ts';
import { h2FieldKind, kindOfH2Field } from './field-kind.ts';
import { H2MessageError } from './message-error.ts';
import type { H2RequestHead } from './request-head.ts';
import type { H2ResponseHead } from './response-head.ts';

/** What an HTTP/1 request leaves to its connection to say, and HTTP/2 wants in each. */
export interface RequestFieldsOptions {
  /** The scheme of the target, `http` or `https`. */
  readonly scheme: string;
  /** Host and port as they shall stand in `:authority`; the received Host, in general. */
  readonly authority: string;
  /** Path and query, or `*`. */
  readonly path: string;
  readonly dropExpect?: boolean;
}

/** What to change in an HTTP/2 request on its way upstream. */
export interface ForwardedRequestOptions {
  /** Replaces `:path`. */
  readonly path?: string | undefined;
  /** Replaces `:authority`; a `host` field, which would contradict it, goes. */
  readonly authority?: string | undefined;
  readonly dropExpect?: boolean;
}

/**
 * The fields of an HTTP/1 request in HTTP/2 (RFC 9113 §8.2, §8.3.1): names in lower case, `:authority` in Host's place, `te` only as
 * `trailers`, equal lengths made one, no field of the client's connection. A chunked body needs no field. Expect from HTTP/1.0 is
 * dropped, since such a client can't be sent a 100. CONNECT gets no `:scheme` and `:path` (§8.5).
 */
export function requestFieldsOf(head: RequestHead, options: RequestFieldsOptions): string[] {
  const { scheme, authority, path } = options;
  const list =
    head.method === 'CONNECT'
      ? [':method', 'CONNECT', ':authority', authority]
      : [':method', head.method, ':scheme', scheme, ':authority', authority, ':path', path];
  appendFields(list, head, {
    keepsTe: true,
    dropsExpect: options.dropExpect === true || head.minorVersion === 0,
    dropsLength: false,
  });
  return list;
}

/**
 * The fields of an HTTP/1 response in HTTP/2 (RFC 9113 §8.2, §8.3.2), as {@link requestFieldsOf}. 1xx and 204 lose their length,
 * which they may not have (RFC 9110 §8.6).
 * @throws {H2MessageError} `untranslatable` for 101 (RFC 9113 §8.6).
 */
export function responseFieldsOf(head: ResponseHead): string[] {
  const { status } = head;
  if (status === 101) {
    throw new H2MessageError(
      'untranslatable',
      'status 101 switches protocols, which HTTP/2 has no way to say',
    );
  }
  const list = [':status', String(status)];
  appendFields(list, head, { keepsTe: false, dropsExpect: false, dropsLength: isLengthForbidden(status) });
  return list;
}

interface FieldPlan {
  readonly keepsTe: boolean;
  readonly dropsExpect: boolean;
  readonly dropsLength: boolean;
}

function appendFields(list: string[], head: MessageHead, plan: FieldPlan): void {
  const { text, offsets } = head;
  const nominated = nominatedFields(head);
  // Chunked frames the body then, and a length beside it is void (RFC 9112 §6.3).
  let isLengthDone = plan.dropsLength || head.transferEncoding !== '';
  let isTeDone = !plan.keepsTe;
  for (let i = 0; i < offsets.length; i += offsetsPerField) {
    const kind = offsets[i + 4] ?? 0;
    if (kind === fieldKind.contentLength) {
      if (!isLengthDone) list.push('content-length', String(head.contentLength));
      isLengthDone = true;
      continue;
    }
    const value = text.slice(offsets[i + 2], offsets[i + 3]);
    if (kind === fieldKind.te) {
      if (!isTeDone && acceptsTrailers(value)) {
        list.push('te', 'trailers');
        isTeDone = true;
      }
      continue;
    }
    const isExpect = kind === fieldKind.expect;
    const isPassed =
      kind === fieldKind.other ||
      kind === fieldKind.trailer ||
      kind === fieldKind.maxForwards ||
      kind === fieldKind.altSvc;
    if (!isPassed && !isExpect) continue;
    if (isExpect && plan.dropsExpect) continue;
    const name = text.slice(offsets[i], offsets[i + 1]).toLowerCase();
    if (nominated === undefined || !nominated.has(name)) list.push(name, value);
  }
}

function nominatedFields({ connection }: MessageHead): ReadonlySet<string> | undefined {
  if (connection === '' || connection === 'keep-alive' || connection === 'close') return undefined;
  return new Set(connection.split(','));
}

function acceptsTrailers(te: string): boolean {
  return te.split(',').some((member) => trimSpace(member).toLowerCase() === 'trailers');
}

/**
 * The fields of an HTTP/2 request as sent to another HTTP/2 peer: without credentials for us and other fields of one hop, equal
 * lengths made one, all else as received. `te: trailers` stays.
 * @returns `head.fields` itself when there is nothing to change.
 */
export function forwardedRequestFields(
  head: H2RequestHead,
  options: ForwardedRequestOptions = {},
): HeaderList {
  const { fields, regularFrom } = head;
  const path = options.path ?? head.path;
  const authority = options.authority ?? head.authority;
  const dropsExpect = options.dropExpect === true && head.hasExpect;
  const isAuthorityNew = authority !== head.authority;
  const isUntouched =
    path === head.path &&
    !isAuthorityNew &&
    !dropsExpect &&
    !head.hasOneHopFields &&
    !head.isContentLengthRepeated;
  if (isUntouched) return fields;
  const list: string[] = [];
  for (let i = 0; i < regularFrom; i += 2) {
    const name = fields[i] ?? '';
    if (name === ':path') list.push(name, path);
    else if (name === ':authority') list.push(name, authority);
    else list.push(name, fields[i + 1] ?? '');
  }
  if (isAuthorityNew && head.authority === '') list.push(':authority', authority);
  let isLengthDone = false;
  for (let i = regularFrom; i < fields.length; i += 2) {
    const name = fields[i] ?? '';
    const kind = kindOfH2Field(name);
    if (kind === h2FieldKind.oneHop) continue;
    if (kind === h2FieldKind.expect && dropsExpect) continue;
    if (kind === h2FieldKind.host && isAuthorityNew) continue;
    if (kind !== h2FieldKind.contentLength) list.push(name, fields[i + 1] ?? '');
    else if (!isLengthDone) {
      list.push(name, String(head.contentLength));
      isLengthDone = true;
    }
  }
  return list;
}

/**
 * The fields of an HTTP/2 response as sent to another HTTP/2 peer: without fields of one hop, equal lengths made one and none in 1xx
 * and 204 (RFC 9110 §8.6), all else as received.
 * @returns `head.fields` itself when there is nothing to change.
 */
export function forwardedResponseFields(head: H2ResponseHead): HeaderList {
  const { fields, regularFrom, contentLength } = head;
  let isLengthDone = contentLength < 0 || isLengthForbidden(head.status);
  const isLengthKept = contentLength < 0 || !isLengthDone;
  if (isLengthKept && !head.hasOneHopFields && !head.isContentLengthRepeated) return fields;
  const list = fields.slice(0, regularFrom);
  for (let i = regularFrom; i < fields.length; i += 2) {
    const name = fields[i] ?? '';
    const kind = kindOfH2Field(name);
    if (kind === h2FieldKind.oneHop || kind === h2FieldKind.te) continue;
    if (kind !== h2FieldKind.contentLength) list.push(name, fields[i + 1] ?? '');
    else if (!isLengthDone) {
      list.push(name, String(contentLength));
      isLengthDone = true;
    }
  }
  return list;
}

/**
 * How the body of an HTTP/2 request is framed where frames don't do it: by its length where one is declared, else in chunks.
 * @param isEnded the head ended the stream.
 */
export function h2RequestFraming(head: H2RequestHead, isEnded: boolean): BodyFraming {
  if (isEnded) return noBody;
  return declaredFraming(head.contentLength);
}

/**
 * As {@link h2RequestFraming}, for the response to a request of that method: none after HEAD, in 1xx, 204 and 304, and in a 2xx to
 * CONNECT (RFC 9110 §6.4.1).
 */
export function h2ResponseFraming(
  head: H2ResponseHead,
  options: { readonly requestMethod: string; readonly isEnded: boolean },
): BodyFraming {
  const { status } = head;
  const { requestMethod, isEnded } = options;
  if (isEnded || requestMethod === 'HEAD' || isLengthForbidden(status) || status === 304) return noBody;
  if (requestMethod === 'CONNECT' && status < 300) return noBody;
  return declaredFraming(head.contentLength);
}

function declaredFraming(contentLength: number): BodyFraming {
  if (contentLength > 0) return { kind: 'length', length: contentLength };
  return contentLength === 0 ? noBody : chunkedBody;
}

function isLengthForbidden(status: number): boolean {
  return status < 200 || status === 204;
}
