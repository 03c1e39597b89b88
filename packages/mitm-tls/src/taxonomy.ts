// Puts a failed TLS handshake into one of six classes. Errors of this platform are judged by code and alert
// number, which do not depend on wording; only foreign texts are searched for phrases. Same input, same
// class.
import { alertOf, type TlsAlert } from './alerts.ts';
import {
  type FailureMeaning,
  isPlain,
  meaningOfAlert,
  meaningOfCode,
  meaningOfCodeForm,
  meaningOfReason,
  type TlsFailureReason,
} from './failure-codes.ts';

// In order, the first that matches. The first two rules look for the phrase anywhere; in the others `eof` and
// `cert` are whole words, or they would be found in words that have nothing to do with them.
const reasonByText: readonly (readonly [RegExp, TlsFailureReason])[] = [
  [
    /unknown ca|unknown_ca|unknown issuer|unknown_issuer|unknownissuer|self[ -]signed|unknown authority|unable to get local issuer certificate/,
    'unknown_ca',
  ],
  [/timed out|timeout|deadline has elapsed/, 'timeout'],
  [/\beof\b|connection reset|broken pipe|connection aborted/, 'eof_or_reset'],
  [/certificate|\bcert\b|\bx509\b|(?:host)?name mismatch|\bexpired\b|not valid/, 'cert_validation'],
  [/handshake|\balert\b|protocol version|decrypt error|insufficient security/, 'handshake'],
];

// What our own messages put in front for people; "handshake" in it says nothing about the failure.
const ownPrefix = /^(?:(?:downstream|upstream)(?: \w+)? (?:handshake failed|leaf issuance error): )+/;

/** OpenSSL's verdicts that Node has no code for come with their text alone. */
const weakWording =
  /key too (?:weak|small)|md too weak|digest algorithm too weak|CA certificate key too weak/i;

const maxCauses = 4;

/** What an error says, and the alert and the code that say it. */
export interface Understood {
  readonly meaning: FailureMeaning;
  /** The alert that the peer sent, if it was one. */
  readonly alert: TlsAlert | undefined;
  /** The first code on the way from the error to what was understood. */
  readonly code: string | undefined;
}

/**
 * The class of an error: by Node's code, by alert number, by name of the alert, then by the text rules. An
 * error that says nothing is judged by its `cause`. Anything can be passed; strings are texts, other values
 * are `other`.
 */
export function classifyTlsError(error: unknown): TlsFailureReason {
  return understandTlsError(error).meaning.reason;
}

/**
 * The class of a text from elsewhere, without regard to case. Names of alerts may be written as one word
 * (`UnknownCA`).
 */
export function classifyTlsText(text: string): TlsFailureReason {
  const plain = text.toLowerCase().replace(ownPrefix, '');
  const spaced = text
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replaceAll('_', ' ')
    .toLowerCase()
    .replace(ownPrefix, '');
  for (const [pattern, reason] of reasonByText) {
    if (pattern.test(plain) || pattern.test(spaced)) return reason;
  }
  return 'other';
}

/** Reads an error as {@link classifyTlsError} does, and keeps what it was read from. */
export function understandTlsError(error: unknown): Understood {
  let current = error;
  let code: string | undefined;
  let first: Understood | undefined;
  for (let depth = 0; depth <= maxCauses; depth += 1) {
    if (typeof current === 'string') {
      const meaning = meaningOfReason(classifyTlsText(current));
      return first !== undefined && meaning.reason === 'other' ? first : { meaning, alert: undefined, code };
    }
    if (!(current instanceof Error)) break;
    code ??= codeOf(current);
    const alert = alertOf(current);
    const understood = { meaning: meaningOf(current, alert), alert, code };
    if (understood.meaning.reason !== 'other') return understood;
    // What is known of one that belongs to no class holds unless its cause belongs to one.
    if (first === undefined && !isPlain(understood.meaning)) first = understood;
    current = current.cause;
  }
  return first ?? { meaning: meaningOfReason('other'), alert: undefined, code };
}

/** The code of an error, where it has one. */
export function codeOf(error: Error): string | undefined {
  return 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

function meaningOf(error: Error, alert: TlsAlert | undefined): FailureMeaning {
  const meaning = literalMeaningOf(error, alert);
  const isWeak = alert === undefined && isPlain(meaning) && weakWording.test(error.message);
  return isWeak ? { reason: meaning.reason, cause: 'weak_certificate' } : meaning;
}

function literalMeaningOf(error: Error, alert: TlsAlert | undefined): FailureMeaning {
  const code = codeOf(error);
  const known = code === undefined ? undefined : meaningOfCode(code);
  if (known !== undefined) return known;
  if (alert !== undefined) return meaningOfAlert(alert.number);
  const formed = code === undefined ? undefined : meaningOfCodeForm(code);
  if (formed !== undefined) return formed;
  return meaningOfReason(error.name === 'TimeoutError' ? 'timeout' : classifyTlsText(error.message));
}
