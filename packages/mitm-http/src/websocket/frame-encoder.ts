// The few frames that a proxy sends in its own name. What it relays is never encoded anew.
import { closeCode, isWireCloseCode, maxReasonBytes } from './close-code.ts';
import { encodeFrameHead } from './frame-head.ts';
import { applyMask } from './mask.ts';
import { opcode } from './opcode.ts';

/**
 * A close frame (RFC 6455 §5.5.1).
 *
 * @param code what may be on the wire, or 1005 for a frame without code and reason.
 * @param reason at most 123 bytes of UTF-8.
 * @param maskKey four fresh random bytes as a number when the frame goes to a server (§5.3), `undefined` when it goes to a client.
 * @throws {RangeError} for a code or a reason that no close frame can carry.
 */
export function encodeCloseFrame(code: number, reason: string, maskKey: number | undefined): Buffer {
  if (code === closeCode.noStatus && reason === '') return encodeControl(Buffer.alloc(0), maskKey);
  if (!isWireCloseCode(code)) {
    throw new RangeError(`close code ${code} is never sent: use 1000–1003, 1007–1014 or 3000–4999`);
  }
  const reasonBytes = Buffer.byteLength(reason);
  if (reasonBytes > maxReasonBytes) {
    throw new RangeError(`a reason has at most ${maxReasonBytes} bytes, not ${reasonBytes}`);
  }
  const payload = Buffer.allocUnsafe(2 + reasonBytes);
  payload.writeUInt16BE(code, 0);
  payload.write(reason, 2);
  return encodeControl(payload, maskKey);
}

function encodeControl(payload: Buffer, maskKey: number | undefined): Buffer {
  const head = encodeFrameHead({ opcode: opcode.close, payloadBytes: payload.length, maskKey });
  if (maskKey !== undefined) applyMask(payload, 0, payload.length, maskKey, 0);
  return Buffer.concat([head, payload]);
}
