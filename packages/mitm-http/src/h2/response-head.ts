// The head of an HTTP/2 response, interim ones included: a decoded field list to facts, or one H2MessageError. The list stays
// as it came, so that it can be sent on untouched.
import { quoted } from '../errors.ts';
import { HeaderMap } from '../header-map.ts';
import type { HeaderList } from '../header-map.ts';
import {
  checkTe,
  connectionSpecificError,
  h2ContentLengthOf,
  h2FieldKind,
  kindOfH2Field,
  misplacedPseudoError,
} from './field-kind.ts';
import { H2MessageError } from './message-error.ts';

const COLON = 0x3a;

/** A response head of HTTP/2. Immutable; `headers` is made when first asked for. */
export class H2ResponseHead {
  /** 100 to 999, never 101 (RFC 9113 §8.6). */
  readonly status: number;
  /** All fields as received, `:status` first. */
  readonly fields: HeaderList;
  /** Where the first regular field is in {@link fields}. */
  readonly regularFrom: number;
  /** The declared length in bytes, -1 without one. */
  readonly contentLength: number;
  /** Whether the length was given more than once, in fields or as a list. */
  readonly isContentLengthRepeated: boolean;
  /** Whether there is a field that is never sent on. */
  readonly hasOneHopFields: boolean;
  /** Names of fields that may not be put into a compression table (RFC 7541 §7.1.3); `undefined` without any. */
  readonly sensitiveNames: ReadonlySet<string> | undefined;
  #headers: HeaderMap | undefined;

  /** As {@link parseH2Response}. */
  constructor(fields: HeaderList, sensitiveNames?: ReadonlySet<string>) {
    let status = 0;
    let at = 0;
    for (; at < fields.length; at += 2) {
      const name = fields[at] ?? '';
      if (name.charCodeAt(0) !== COLON) break;
      if (name !== ':status') throw unknownPseudoError(name);
      if (status !== 0) throw new H2MessageError('repeated_pseudo_field', ':status is given twice');
      status = statusOf(fields[at + 1] ?? '');
    }
    if (status === 0) throw new H2MessageError('missing_pseudo_field', 'the response has no :status');
    let contentLength = -1;
    let isLengthRepeated = false;
    let hasOneHopFields = false;
    for (let i = at; i < fields.length; i += 2) {
      const name = fields[i] ?? '';
      const kind = kindOfH2Field(name);
      if (kind === h2FieldKind.other) continue;
      if (kind === h2FieldKind.contentLength) {
        const value = fields[i + 1] ?? '';
        isLengthRepeated ||= contentLength >= 0 || value.includes(',');
        contentLength = h2ContentLengthOf(value, contentLength);
      } else if (kind === h2FieldKind.oneHop) hasOneHopFields = true;
      else if (kind === h2FieldKind.te) {
        checkTe(fields[i + 1] ?? '');
        hasOneHopFields = true;
      } else if (kind === h2FieldKind.pseudo) throw misplacedPseudoError(name);
      else if (kind === h2FieldKind.connectionSpecific) throw connectionSpecificError(name);
    }
    this.status = status;
    this.fields = fields;
    this.regularFrom = at;
    this.contentLength = contentLength;
    this.isContentLengthRepeated = isLengthRepeated;
    this.hasOneHopFields = hasOneHopFields;
    this.sensitiveNames = sensitiveNames;
    this.#headers = undefined;
  }

  get version(): 'HTTP/2' {
    return 'HTTP/2';
  }

  /** HTTP/2 has no reason phrases (RFC 9113 §8.3.2). */
  get reason(): '' {
    return '';
  }

  /** Number of regular fields as received. */
  get headerCount(): number {
    return (this.fields.length - this.regularFrom) / 2;
  }

  /** The regular fields. */
  get headers(): HeaderMap {
    return (this.#headers ??= new HeaderMap(this.fields.slice(this.regularFrom)));
  }
}

/**
 * Reads the decoded field list of a response (RFC 9113 §8.2.2, §8.3.2). That names and values are written as §8.2.1 wants is the
 * decoder's affair.
 * @throws {H2MessageError} for a malformed response.
 */
export function parseH2Response(fields: HeaderList, sensitiveNames?: ReadonlySet<string>): H2ResponseHead {
  return new H2ResponseHead(fields, sensitiveNames);
}

function statusOf(text: string): number {
  const hundreds = text.charCodeAt(0) - 0x30;
  const tens = text.charCodeAt(1) - 0x30;
  const ones = text.charCodeAt(2) - 0x30;
  const isNumber =
    text.length === 3 && hundreds >= 1 && hundreds <= 9 && tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9;
  const status = hundreds * 100 + tens * 10 + ones;
  if (!isNumber) {
    throw new H2MessageError('invalid_status', `status ${quoted(text)} is not three digits from 100`);
  }
  if (status === 101) {
    throw new H2MessageError('invalid_status', 'status 101 does not exist in HTTP/2, which has no upgrades');
  }
  return status;
}

function unknownPseudoError(name: string): H2MessageError {
  return new H2MessageError('unknown_pseudo_field', `${quoted(name)} is no pseudo field of responses`);
}
