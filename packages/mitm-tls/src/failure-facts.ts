// What one TLS error says beyond its class: the alert behind it, and what exactly was wrong, which tells whose fault it was. The six
// classes stay the contract; this is the sentence behind them.
import { alertOf, type TlsAlert } from './alerts.ts';
import type { TlsFailureCause, TlsFailureReason } from './failure-codes.ts';
import { codeOf, understandTlsError } from './taxonomy.ts';

/** Which of the two TLS legs: `downstream` is the client's, `upstream` the origin's. */
export type TlsSide = 'downstream' | 'upstream';

/** A TLS error, understood. */
export interface TlsErrorFacts {
  readonly reason: TlsFailureReason;
  readonly cause: TlsFailureCause;
  /** The alert that the peer sent, if it was one. */
  readonly alert: TlsAlert | undefined;
  /** The code of the TLS stack, where it has one. */
  readonly code: string | undefined;
}

/**
 * Understands an error of a TLS handshake, or of the TLS layer after it.
 *
 * @param side the leg on which it came up
 */
export function tlsErrorFacts(error: unknown, side: TlsSide): TlsErrorFacts {
  const { meaning, alert, code } = understandTlsError(error);
  const { reason, cause } = meaning;
  return { reason, cause: cause === 'certificate_shown' ? refusedOn(side) : cause, alert, code };
}

/** True for an error of the TLS layer itself, as opposed to one of the socket below it. */
export function isTlsLayerError(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  return alertOf(error) !== undefined || codeOf(error)?.startsWith('ERR_SSL_') === true;
}

/** The sender of an alert about a certificate means the one that it was shown (RFC 8446 §6.2). */
function refusedOn(side: TlsSide): TlsFailureCause {
  return side === 'downstream' ? 'own_certificate_refused' : 'client_certificate_refused';
}
