// What a frame's head may say, given who sent it, what was agreed in the handshake and what came before (RFC 6455 §5).
import { WebSocketFault } from './fault.ts';
import { leastHeadBytes, rsv1 } from './frame-head.ts';
import type { FrameHead } from './frame-head.ts';
import { isReservedOpcode, opcode } from './opcode.ts';
import type { WebSocketDirection } from './opcode.ts';

/** Under which rules one direction is read. */
export interface FrameRules {
  /** Frames of clients are masked, those of servers are not (§5.1). */
  readonly direction: WebSocketDirection;
  /** Whether permessage-deflate was agreed on: RSV1 may be set on the first frame of a message (RFC 7692 §6). */
  readonly hasDeflate?: boolean;
  /** Whether an extension was agreed on that is not known here: reserved bits and opcodes are then the ends' own affair. */
  readonly hasUnknownExtension?: boolean;
  /** Longest payload of one frame; none but that of exact numbers by default. */
  readonly maxFrameBytes?: number;
}

const maxControlBytes = 125;
const topBitOf64 = 2 ** 63;

/** The first rule that a head breaks. @param isInMessage a fragmented message is open in this direction. */
export function frameFault(
  head: FrameHead,
  rules: FrameRules,
  isInMessage: boolean,
): WebSocketFault | undefined {
  if (head.payloadBytes >= topBitOf64) {
    const message = 'a frame declares a length of 64 bits with the highest one set';
    return new WebSocketFault('payload_length_overflow', message, 'decode_header:payload_length_overflow');
  }
  return (
    extensionFault(head, rules) ??
    maskFault(head, rules.direction) ??
    (head.isControl ? controlFault(head) : sequenceFault(head, isInMessage)) ??
    sizeFault(head, rules.maxFrameBytes ?? Number.MAX_SAFE_INTEGER)
  );
}

function extensionFault(head: FrameHead, rules: FrameRules): WebSocketFault | undefined {
  if (rules.hasUnknownExtension === true) return undefined;
  if (isReservedOpcode(head.opcode)) {
    const shown = `0x${head.opcode.toString(16)}`;
    const message = `opcode ${shown} is reserved, and no extension was agreed on that gives it a meaning`;
    return new WebSocketFault('reserved_opcode', message, `reserved_opcode:${shown}`);
  }
  const isMessageStart = !head.isControl && head.opcode !== opcode.continuation;
  const allowed = rules.hasDeflate === true && isMessageStart ? rsv1 : 0;
  if ((head.rsv & ~allowed) === 0) return undefined;
  const shown = head.rsv.toString(2).padStart(3, '0');
  const message = `the reserved bits are ${shown} where no agreed extension sets them`;
  return new WebSocketFault('reserved_bits', message);
}

function maskFault(head: FrameHead, direction: WebSocketDirection): WebSocketFault | undefined {
  const isFromClient = direction === 'client_to_server';
  if (head.isMasked === isFromClient) return undefined;
  return isFromClient
    ? new WebSocketFault('client_frame_unmasked', 'a frame of the client is not masked')
    : new WebSocketFault('server_frame_masked', 'a frame of the server is masked');
}

function controlFault(head: FrameHead): WebSocketFault | undefined {
  if (!head.isFinal) {
    return new WebSocketFault('fragmented_control_frame', 'a control frame is fragmented');
  }
  if (head.payloadBytes <= maxControlBytes) return undefined;
  const message = `a control frame has ${head.payloadBytes} bytes: at most ${maxControlBytes} are allowed`;
  return new WebSocketFault('control_frame_too_large', message);
}

function sequenceFault(head: FrameHead, isInMessage: boolean): WebSocketFault | undefined {
  if ((head.opcode === opcode.continuation) === isInMessage) return undefined;
  return isInMessage
    ? new WebSocketFault('interrupted_message', 'a message begins before the one in progress has ended')
    : new WebSocketFault('unexpected_continuation', 'a frame continues a message that has not begun');
}

function sizeFault(head: FrameHead, maxFrameBytes: number): WebSocketFault | undefined {
  const { payloadBytes, headBytes } = head;
  if (headBytes !== leastHeadBytes(payloadBytes, head.isMasked)) {
    const message = `a length of ${payloadBytes} is written in more bytes than it needs`;
    return new WebSocketFault('non_minimal_length', message);
  }
  if (payloadBytes <= maxFrameBytes) return undefined;
  const message = `a frame has ${payloadBytes} bytes: at most ${maxFrameBytes} are taken`;
  const detail = `decode_header:payload_too_large:${payloadBytes}:${maxFrameBytes}`;
  return new WebSocketFault('payload_too_large', message, detail);
}
