// Trailers between the versions: what makes a trailer section of HTTP/2 malformed, and what may be sent on of one. A field that
// frames, routes or identifies says nothing behind the body, but one reader might merge it into the head.
import { quoted } from '../errors.ts';
import type { HeaderList } from '../header-map.ts';
import { checkTe, connectionSpecificError, h2FieldKind, kindOfH2Field } from './field-kind.ts';
import { H2MessageError } from './message-error.ts';

/** Fields that are taken out of trailers (RFC 9110 §6.5.1). */
export const forbiddenTrailers = [
  'authorization',
  'connection',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'cookie',
  'expect',
  'host',
  'http2-settings',
  'keep-alive',
  'max-forwards',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'proxy-connection',
  'range',
  'set-cookie',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'www-authenticate',
] as const;

const forbidden: ReadonlySet<string> = new Set<string>(forbiddenTrailers);
const COLON = 0x3a;

/**
 * Refuses trailers that make their message malformed: pseudo fields (RFC 9113 §8.1) and connection-specific ones (§8.2.2). What
 * else may not stand in a trailer is harmless in HTTP/2 and taken out by {@link sanitizedTrailers}.
 * @throws {H2MessageError} `unexpected_pseudo_field`, `connection_specific_field`, `invalid_te`.
 */
export function checkH2Trailers(fields: HeaderList): void {
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? '';
    const kind = kindOfH2Field(name);
    if (kind === h2FieldKind.other) continue;
    if (kind === h2FieldKind.pseudo) {
      const message = `${quoted(name)} stands in the trailers, which have no pseudo fields`;
      throw new H2MessageError('unexpected_pseudo_field', message);
    }
    if (kind === h2FieldKind.connectionSpecific) throw connectionSpecificError(name);
    if (kind === h2FieldKind.te) checkTe(fields[i + 1] ?? '');
  }
}

/**
 * The trailers of either version as both may send them: names in lower case, without {@link forbiddenTrailers} and pseudo fields.
 * @returns the list itself when there is nothing to change, `undefined` when nothing is left.
 */
export function sanitizedTrailers(fields: HeaderList): HeaderList | undefined {
  let isKept = fields.length > 0;
  for (let i = 0; i < fields.length && isKept; i += 2) {
    const name = fields[i] ?? '';
    isKept = isAllowed(name) && name === name.toLowerCase();
  }
  if (isKept) return fields;
  const list: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    const name = (fields[i] ?? '').toLowerCase();
    if (isAllowed(name)) list.push(name, fields[i + 1] ?? '');
  }
  return list.length === 0 ? undefined : list;
}

function isAllowed(lowerName: string): boolean {
  return lowerName !== '' && lowerName.charCodeAt(0) !== COLON && !forbidden.has(lowerName);
}
