// The question who holds one TCP socket, and its answer, as messages of the kernel's socket diagnosis (sock_diag(7), netlink(7)).
// Pure.
import { endianness } from 'node:os';

import type { SocketEndpoint } from 'mitm-core';

import { addressBytes } from './address.ts';
import type { SocketRow } from './proc-net.ts';

/** From the headers of Linux: `AF_NETLINK`, `SOCK_RAW | SOCK_CLOEXEC`, `NETLINK_SOCK_DIAG`. */
export const diagSocket = { family: 16, type: 3 | 0o2000000, protocol: 4 } as const;

/** The two ends of the socket that is asked for: its own first. */
export interface SocketEnds {
  readonly near: SocketEndpoint;
  readonly far: SocketEndpoint;
}

/** `absent`: the kernel knows no such socket, or knows no diagnosis of TCP; it says the same of both. */
export type DiagAnswer = SocketRow | 'absent' | { readonly errorNumber: number };

const ipv4Family = 2;
const ipv6Family = 10;
const tcp = 6;
const errorType = 2;
const byFamilyType = 20;
const isRequest = 1;
const anyState = 0xffff_ffff;
const listenState = 10;
const noSuchEntry = 2;
const headerBytes = 16;
const requestBytes = 72;
const rowBytes = headerBytes + 72;
/** Where the fields are, in a message with its header. */
const place = { sequence: 8, error: 16, state: 17, nearPort: 20, farPort: 22, uid: 80, inode: 84 } as const;

type ByteOrder = 'LE' | 'BE';

/**
 * Asks for the one socket with these two ends, whatever its state. `undefined` where the kernel wants to know more than we do: an
 * address with a zone belongs to one interface.
 *
 * @param sequence comes back with the answer; 32 bits without a sign
 */
export function diagRequest(
  { near, far }: SocketEnds,
  sequence: number,
  byteOrder: ByteOrder = endianness(),
): Buffer | undefined {
  if (near.address.includes('%') || far.address.includes('%')) return undefined;
  const nearBytes = addressBytes(near.address);
  const farBytes = addressBytes(far.address);
  // IPv4 addresses find the sockets of IPv6 with mapped addresses as well.
  if (nearBytes === undefined || nearBytes.length !== farBytes?.length) return undefined;
  const message = Buffer.alloc(requestBytes);
  const isLittle = byteOrder === 'LE';
  const view = new DataView(message.buffer, message.byteOffset, requestBytes);
  view.setUint32(0, requestBytes, isLittle);
  view.setUint16(4, byFamilyType, isLittle);
  view.setUint16(6, isRequest, isLittle);
  view.setUint32(place.sequence, sequence, isLittle);
  message[16] = nearBytes.length === 4 ? ipv4Family : ipv6Family;
  message[17] = tcp;
  view.setUint32(20, anyState, isLittle);
  message.writeUInt16BE(near.port, 24);
  message.writeUInt16BE(far.port, 26);
  message.set(nearBytes, 28);
  message.set(farBytes, 44);
  // No cookie: the socket of these ends, and not one that we saw before.
  message.fill(0xff, 64, 72);
  return message;
}

/** Reads the answer to the request with this number; `undefined` when it is none. */
export function parseDiagReply(
  reply: Buffer,
  { near, far }: SocketEnds,
  sequence: number,
  byteOrder: ByteOrder = endianness(),
): DiagAnswer | undefined {
  if (reply.length < headerBytes + 4) return undefined;
  const isLittle = byteOrder === 'LE';
  const view = new DataView(reply.buffer, reply.byteOffset, reply.length);
  if (view.getUint32(place.sequence, isLittle) !== sequence) return undefined;
  const type = view.getUint16(4, isLittle);
  if (type === errorType) {
    const errorNumber = -view.getInt32(place.error, isLittle);
    return errorNumber === noSuchEntry ? 'absent' : { errorNumber };
  }
  if (type !== byFamilyType || reply.length < rowBytes) return undefined;
  const isAsked =
    reply.readUInt16BE(place.nearPort) === near.port && reply.readUInt16BE(place.farPort) === far.port;
  // Where no connection has these ends, the kernel names the listener that would get one.
  if (!isAsked || reply[place.state] === listenState) return 'absent';
  return { uid: view.getUint32(place.uid, isLittle), inode: view.getUint32(place.inode, isLittle) };
}
