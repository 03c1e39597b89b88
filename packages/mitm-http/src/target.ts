// The request target: which of its four forms it has, and which authority and path it names (RFC 9112 §3.2).
import { AuthorityError, parseAuthority } from './authority.ts';
import type { Authority } from './authority.ts';
import { HttpError, quoted } from './errors.ts';
import type { RequestHead } from './head.ts';

/** The forms of a request target. */
export const targetForms = ['origin', 'absolute', 'authority', 'asterisk'] as const;
/** See {@link targetForms}. */
export type TargetForm = (typeof targetForms)[number];

/** What a request target says. */
export interface RequestTarget {
  readonly form: TargetForm;
  /** Absolute form only. */
  readonly scheme?: 'http' | 'https';
  /** Absolute form, where the scheme's port is the default, and authority form. */
  readonly authority?: Authority;
  /** Path and query as sent in origin form; `*` for asterisk form, '' for authority form. */
  readonly path: string;
}

/**
 * Reads the target of a request. An absolute form without a path means `/`, in OPTIONS `*` (RFC 9112 §3.2.4).
 * @throws {HttpError} `invalid_target` for a fragment, user information or no such form; `unsupported_scheme`.
 */
export function parseTarget(head: RequestHead): RequestTarget {
  const { method, target } = head;
  if (target.includes('#')) throw invalidTarget(target, 'it has a fragment');
  if (method === 'CONNECT') {
    return { form: 'authority', authority: parseTargetAuthority(target, target, undefined), path: '' };
  }
  if (target.startsWith('/')) return { form: 'origin', path: target };
  if (target === '*') {
    if (method !== 'OPTIONS') throw invalidTarget(target, 'only OPTIONS may ask for the whole server');
    return { form: 'asterisk', path: '*' };
  }
  return parseAbsoluteTarget(method, target);
}

function parseAbsoluteTarget(method: string, target: string): RequestTarget {
  const [whole = '', name = ''] = /^([a-z][a-z\d+.-]*):\/\//i.exec(target) ?? [];
  if (whole === '') throw invalidTarget(target, 'it is neither a path nor an absolute URI');
  const scheme = name.toLowerCase();
  if (scheme !== 'http' && scheme !== 'https') {
    const message = `scheme ${quoted(name)} is not served here: only "http" and "https" are`;
    throw new HttpError('unsupported_scheme', message);
  }
  const rest = target.slice(whole.length);
  const length = rest.search(/[/?]/);
  const text = length < 0 ? rest : rest.slice(0, length);
  const authority = parseTargetAuthority(target, text, scheme === 'http' ? 80 : 443);
  const given = rest.slice(text.length);
  const empty = method === 'OPTIONS' ? '*' : '/';
  const path = given.startsWith('?') ? `/${given}` : given || empty;
  return { form: 'absolute', scheme, authority, path };
}

function parseTargetAuthority(target: string, text: string, defaultPort: number | undefined): Authority {
  try {
    return parseAuthority(text, defaultPort === undefined ? {} : { defaultPort });
  } catch (error) {
    if (error instanceof AuthorityError) throw invalidTarget(target, error.message);
    throw error;
  }
}

function invalidTarget(target: string, why: string): HttpError {
  return new HttpError('invalid_target', `request target ${quoted(target)} is not valid: ${why}`);
}
