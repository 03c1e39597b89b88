// The head of an HTTP/2 request: a decoded field list to facts, or one H2MessageError. One pass, no copies; the list stays as it
// came, so that it can be sent on untouched.
import { quoted } from '../errors.ts';
import { isToken } from '../field-lines.ts';
import { HeaderMap } from '../header-map.ts';
import type { HeaderList } from '../header-map.ts';
import { checkH2Authority, isSameAuthority } from './authority-check.ts';
import {
  checkTe,
  connectionSpecificError,
  h2ContentLengthOf,
  h2FieldKind,
  kindOfH2Field,
  misplacedPseudoError,
  pseudoValue,
} from './field-kind.ts';
import { H2MessageError } from './message-error.ts';

const COLON = 0x3a;
const SLASH = 0x2f;
const SP = 0x20;
const DEL = 0x7f;
const HASH = 0x23;

/** A request head of HTTP/2. Immutable; `headers` is made when first asked for. */
export class H2RequestHead {
  readonly method: string;
  /** '' for CONNECT without `:protocol`. */
  readonly scheme: string;
  /** `:authority` as received; '' where the request has `host` instead. */
  readonly authority: string;
  /** Path and query, or `*`; '' for CONNECT without `:protocol`. */
  readonly path: string;
  /** `:protocol` of an extended CONNECT (RFC 8441 §4); '' without one. */
  readonly protocol: string;
  /** Whom the request is for: `:authority`, else `host`. */
  readonly host: string;
  /** All fields as received, pseudo fields included and first. */
  readonly fields: HeaderList;
  /** Where the first regular field is in {@link fields}. */
  readonly regularFrom: number;
  /** The declared length in bytes, -1 without one. */
  readonly contentLength: number;
  /** Whether the length was given more than once, in fields or as a list. */
  readonly isContentLengthRepeated: boolean;
  /** Whether the client waits for 100 Continue. Other expectations are for the origin to judge (RFC 9110 §10.1.1). */
  readonly expectsContinue: boolean;
  readonly hasExpect: boolean;
  readonly hasHostField: boolean;
  /** Whether there is a field that is never sent on. */
  readonly hasOneHopFields: boolean;
  /** Whether the cookie came in more than one field (RFC 9113 §8.2.3). */
  readonly hasCookieCrumbs: boolean;
  /** Names of fields that may not be put into a compression table (RFC 7541 §7.1.3); `undefined` without any. */
  readonly sensitiveNames: ReadonlySet<string> | undefined;
  #headers: HeaderMap | undefined;

  /** As {@link parseH2Request}. */
  constructor(fields: HeaderList, sensitiveNames?: ReadonlySet<string>) {
    let method = '';
    let scheme = '';
    let authority = '';
    let path = '';
    let protocol = '';
    let at = 0;
    for (; at < fields.length; at += 2) {
      const name = fields[at] ?? '';
      if (name.charCodeAt(0) !== COLON) break;
      const value = fields[at + 1] ?? '';
      if (name === ':method') method = pseudoValue(method, name, value);
      else if (name === ':path') path = pseudoValue(path, name, value);
      else if (name === ':scheme') scheme = pseudoValue(scheme, name, value);
      else if (name === ':authority') authority = pseudoValue(authority, name, value);
      else if (name === ':protocol') protocol = pseudoValue(protocol, name, value);
      else throw unknownPseudoError(name);
    }
    this.method = method;
    this.scheme = scheme;
    this.authority = authority;
    this.path = path;
    this.protocol = protocol;
    checkControlData(this);
    let host: string | undefined;
    let contentLength = -1;
    let isLengthRepeated = false;
    let expect: string | undefined;
    let hasOneHopFields = false;
    let cookieCount = 0;
    for (let i = at; i < fields.length; i += 2) {
      const name = fields[i] ?? '';
      const kind = kindOfH2Field(name);
      if (kind === h2FieldKind.other) continue;
      const value = fields[i + 1] ?? '';
      if (kind === h2FieldKind.cookie) cookieCount++;
      else if (kind === h2FieldKind.contentLength) {
        isLengthRepeated ||= contentLength >= 0 || value.includes(',');
        contentLength = h2ContentLengthOf(value, contentLength);
      } else if (kind === h2FieldKind.te) checkTe(value);
      else if (kind === h2FieldKind.host) host = onlyHost(host, value);
      else if (kind === h2FieldKind.expect) expect = expect === undefined ? value : `${expect},${value}`;
      else if (kind === h2FieldKind.oneHop) hasOneHopFields = true;
      else if (kind === h2FieldKind.pseudo) throw misplacedPseudoError(name);
      else throw connectionSpecificError(name);
    }
    this.host = hostOf(authority, host, scheme);
    this.fields = fields;
    this.regularFrom = at;
    this.contentLength = contentLength;
    this.isContentLengthRepeated = isLengthRepeated;
    this.expectsContinue = expect !== undefined && isContinueExpected(expect);
    this.hasExpect = expect !== undefined;
    this.hasHostField = host !== undefined;
    this.hasOneHopFields = hasOneHopFields;
    this.hasCookieCrumbs = cookieCount > 1;
    this.sensitiveNames = sensitiveNames;
    this.#headers = undefined;
  }

  get version(): 'HTTP/2' {
    return 'HTTP/2';
  }

  /** What stands in the request line of HTTP/1: the path, for CONNECT without `:protocol` the authority. */
  get target(): string {
    return this.path === '' ? this.authority : this.path;
  }

  /** Number of regular fields as received. */
  get headerCount(): number {
    return (this.fields.length - this.regularFrom) / 2;
  }

  /**
   * The regular fields as one who knows nothing of HTTP/2 expects them: a `host` made of `:authority` comes first where none was
   * sent, and the crumbs of a cookie are one field, where the first of them was (RFC 9113 §8.2.3).
   */
  get headers(): HeaderMap {
    return (this.#headers ??= new HeaderMap(plainFields(this)));
  }
}

/**
 * Reads the decoded field list of a request (RFC 9113 §8.2.2, §8.3.1, §8.5; RFC 8441 §4). That names and values are written as
 * §8.2.1 wants is the decoder's affair; whether `:protocol` may be used at all, its receiver's.
 * @throws {H2MessageError} for a malformed request.
 */
export function parseH2Request(fields: HeaderList, sensitiveNames?: ReadonlySet<string>): H2RequestHead {
  return new H2RequestHead(fields, sensitiveNames);
}

/** The values of all `cookie` fields from `from` on as one, without empty ones (RFC 9113 §8.2.3). */
export function joinedCookie(fields: HeaderList, from: number): string {
  let cookie = '';
  for (let i = from; i < fields.length; i += 2) {
    const crumb = fields[i + 1] ?? '';
    if (fields[i] === 'cookie' && crumb !== '') cookie = cookie === '' ? crumb : `${cookie}; ${crumb}`;
  }
  return cookie;
}

type ControlData = Pick<H2RequestHead, 'method' | 'scheme' | 'authority' | 'path' | 'protocol'>;

function checkControlData(head: ControlData): void {
  const { method, scheme, path } = head;
  if (!isToken(method)) {
    if (method === '') throw missingPseudoError(':method');
    throw new H2MessageError('invalid_method', `method ${quoted(method)} is not a token`);
  }
  if (method === 'CONNECT' && head.protocol === '') {
    checkConnect(head);
    return;
  }
  if (head.protocol !== '') checkProtocol(head);
  if (scheme !== 'https' && scheme !== 'http') checkScheme(scheme);
  checkPath(method, path);
}

// RFC 9113 §8.5
function checkConnect({ scheme, path, authority }: ControlData): void {
  if (scheme !== '' || path !== '') {
    const message = `CONNECT has no ${scheme === '' ? ':path' : ':scheme'}: send :method and :authority alone`;
    throw new H2MessageError('unexpected_pseudo_field', message);
  }
  if (authority === '') throw missingPseudoError(':authority');
  checkH2Authority(authority, undefined);
}

function checkProtocol({ method, protocol }: ControlData): void {
  if (method !== 'CONNECT') {
    const message = `:protocol stands in a ${method} request: it is for CONNECT only`;
    throw new H2MessageError('unexpected_pseudo_field', message);
  }
  if (!isToken(protocol)) {
    throw new H2MessageError('invalid_protocol', `protocol ${quoted(protocol)} is not a token`);
  }
}

function checkScheme(scheme: string): void {
  if (scheme === '') throw missingPseudoError(':scheme');
  if (!/^[a-z][a-z\d+.-]*$/i.test(scheme)) {
    throw new H2MessageError('invalid_scheme', `scheme ${quoted(scheme)} is not the scheme of a URI`);
  }
}

function checkPath(method: string, path: string): void {
  if (path.charCodeAt(0) === SLASH) {
    for (let i = 1; i < path.length; i++) {
      const c = path.charCodeAt(i);
      if (c <= SP || c >= DEL || c === HASH) throw pathError(path, 'it has a character that is not for URIs');
    }
    return;
  }
  if (path === '') throw missingPseudoError(':path');
  if (path !== '*') throw pathError(path, 'it does not begin with "/"');
  if (method !== 'OPTIONS') throw pathError(path, 'only OPTIONS may ask for the whole server');
}

function pathError(path: string, why: string): H2MessageError {
  return new H2MessageError('invalid_path', `path ${quoted(path)} is not valid: ${why}`);
}

function onlyHost(known: string | undefined, value: string): string {
  if (known === undefined) return value;
  throw new H2MessageError('repeated_host', 'the request has more than one host field');
}

// Two names for the same origin are one too many for whoever routes by the other (RFC 9113 §8.3.1).
function hostOf(authority: string, host: string | undefined, scheme: string): string {
  if (scheme === '') return authority;
  const defaultPort = scheme === 'http' ? 80 : 443;
  if (authority === '') {
    if (host === undefined) {
      throw new H2MessageError(
        'missing_authority',
        'the request has neither :authority nor host: send :authority',
      );
    }
    checkH2Authority(host, defaultPort);
    return host;
  }
  checkH2Authority(authority, defaultPort);
  if (host !== undefined && host !== authority && !isSameAuthority(host, authority, defaultPort)) {
    const message = `:authority ${quoted(authority)} and host ${quoted(host)} differ: send :authority alone`;
    throw new H2MessageError('host_mismatch', message);
  }
  return authority;
}

function isContinueExpected(expect: string): boolean {
  if (expect === '100-continue') return true;
  return expect.split(',').some((member) => member.trim().toLowerCase() === '100-continue');
}

function plainFields(head: H2RequestHead): HeaderList {
  const { fields, regularFrom } = head;
  const isHostMade = !head.hasHostField && head.authority !== '';
  if (!isHostMade && !head.hasCookieCrumbs) return fields.slice(regularFrom);
  const list: string[] = isHostMade ? ['host', head.authority] : [];
  let isCookieDone = false;
  for (let i = regularFrom; i < fields.length; i += 2) {
    const name = fields[i] ?? '';
    if (name !== 'cookie') list.push(name, fields[i + 1] ?? '');
    else if (!isCookieDone) {
      list.push(name, joinedCookie(fields, i));
      isCookieDone = true;
    }
  }
  return list;
}

function missingPseudoError(name: string): H2MessageError {
  return new H2MessageError('missing_pseudo_field', `the request has no ${name}`);
}

function unknownPseudoError(name: string): H2MessageError {
  return new H2MessageError('unknown_pseudo_field', `${quoted(name)} is no pseudo field of requests`);
}
