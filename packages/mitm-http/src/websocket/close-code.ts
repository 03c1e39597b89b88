// Close codes: which may be on the wire, what a close frame says, and what a proxy closes with when it ends a connection itself
// (RFC 6455 §5.5.1, §7.4).
import { isUtf8 } from 'node:buffer';

import { WebSocketFault } from './fault.ts';

/** Codes by name. Those of `noStatus`, `abnormal` and `tlsHandshake` are never in a frame (§7.4.1). */
export const closeCode = {
  normal: 1000,
  goingAway: 1001,
  protocolError: 1002,
  unsupportedData: 1003,
  noStatus: 1005,
  abnormal: 1006,
  invalidPayload: 1007,
  policyViolation: 1008,
  messageTooBig: 1009,
  missingExtension: 1010,
  internalError: 1011,
  serviceRestart: 1012,
  tryAgainLater: 1013,
  badGateway: 1014,
  tlsHandshake: 1015,
} as const;

/** Why a proxy closes a connection whose ends broke no rule, with the code for it. */
export const closeCodeFor = {
  policy_block: closeCode.policyViolation,
  origin_lost: closeCode.badGateway,
  shutdown: closeCode.goingAway,
  idle: closeCode.goingAway,
} as const;

/** Most bytes of a reason: a control frame has 125, and the code takes two (§5.5). */
export const maxReasonBytes = 123;

/** Whether a close frame may carry the code: 1000–1003, 1007–1014, 3000–4999. */
export function isWireCloseCode(code: number): boolean {
  if (!Number.isInteger(code)) return false;
  if (code >= 3000) return code <= 4999;
  return (
    (code >= closeCode.normal && code <= closeCode.unsupportedData) ||
    (code >= closeCode.invalidPayload && code <= closeCode.badGateway)
  );
}

/** What a close frame says. */
export interface CloseStatus {
  /** 1005 when the frame is empty. */
  readonly code: number;
  readonly reason: string;
}

const withoutStatus: CloseStatus = Object.freeze({ code: closeCode.noStatus, reason: '' });

/**
 * Reads the unmasked payload of a close frame.
 * @returns a fault for a payload of one byte, a code that is never sent, or a reason that is not UTF-8.
 */
export function parseClosePayload(payload: Buffer): CloseStatus | WebSocketFault {
  if (payload.length === 0) return withoutStatus;
  if (payload.length === 1) {
    return new WebSocketFault('invalid_close_payload', 'a close frame has 1 byte: a code has two');
  }
  const code = payload.readUInt16BE(0);
  if (!isWireCloseCode(code)) {
    const message = `close code ${code} is never sent: use 1000–1003, 1007–1014 or 3000–4999`;
    return new WebSocketFault('invalid_close_code', message, `invalid_close_code:${code}`);
  }
  const reason = payload.subarray(2);
  if (!isUtf8(reason)) {
    return new WebSocketFault('invalid_close_reason', 'the reason in a close frame is not UTF-8');
  }
  return { code, reason: reason.toString('utf8') };
}
