// What a frame is: the numbers of RFC 6455 §5.2, their names in events, and which way a frame goes.

/** Which way a frame goes, as events name it. */
export const webSocketDirections = ['client_to_server', 'server_to_client'] as const;
/** See {@link webSocketDirections}. */
export type WebSocketDirection = (typeof webSocketDirections)[number];

/** The opcodes that RFC 6455 defines. From 8 on they are control frames. */
export const opcode = {
  continuation: 0x0,
  text: 0x1,
  binary: 0x2,
  close: 0x8,
  ping: 0x9,
  pong: 0xa,
} as const;

const opcodeLabels = ['continuation', 'text', 'binary', 'close', 'ping', 'pong', 'other'] as const;
/** The name of an opcode in events. */
export type OpcodeLabel = (typeof opcodeLabels)[number];

/** The name of an opcode; `other` for those that RFC 6455 reserves. */
export function opcodeLabel(code: number): OpcodeLabel {
  const index = code < 0x8 ? code : code - 0x5;
  const isDefined = code < 0x8 ? code <= opcode.binary : code <= opcode.pong;
  return isDefined ? (opcodeLabels[index] ?? 'other') : 'other';
}

/** Whether RFC 6455 leaves the opcode to extensions: 3–7 and B–F. */
export function isReservedOpcode(code: number): boolean {
  return (code > opcode.binary && code < opcode.close) || code > opcode.pong;
}
