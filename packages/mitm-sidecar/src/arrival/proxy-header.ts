// The PROXY protocol header, versions 1 and 2, in which a forwarder tells whose connection it passes on. Pure: bytes in, the
// client's addresses out.
import { isIPv4, isIPv6 } from 'node:net';

import type { SocketEndpoint } from 'mitm-core';

import { addressText, plainAddress } from './address-text.ts';

/** What a header says. */
export interface ProxyHeader {
  /** Bytes of the header; the client's own begin behind them. */
  readonly length: number;
  /** The client, and the address it had dialled; undefined where the forwarder speaks for itself (a health check). */
  readonly ends: { readonly remote: SocketEndpoint; readonly local: SocketEndpoint } | undefined;
}

/** Thrown for bytes that are no header. */
export class ProxyHeaderError extends Error {
  override readonly name = 'ProxyHeaderError';
}

const versionOne = Buffer.from('PROXY ', 'latin1');
const versionTwo = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
/** A line of version 1 is never longer, its CRLF included. */
const maxLineBytes = 107;
const headBytes = 16;
/** Addresses and additional values of version 2 that are read; nobody sends more. */
const maxBlockBytes = 4_096;

/**
 * Reads the header at the beginning of `bytes`.
 *
 * @returns undefined while it is not whole
 * @throws ProxyHeaderError as soon as the bytes can't become one
 */
export function parseProxyHeader(bytes: Buffer): ProxyHeader | undefined {
  if (beginsAs(bytes, versionTwo)) return bytes.length < headBytes ? undefined : parseBinary(bytes);
  if (beginsAs(bytes, versionOne)) return parseLine(bytes);
  throw new ProxyHeaderError('the connection does not begin with a PROXY header');
}

/** Whether bytes are a beginning of the signature, or begin with it. */
function beginsAs(bytes: Buffer, signature: Buffer): boolean {
  const common = Math.min(bytes.length, signature.length);
  return bytes.compare(signature, 0, common, 0, common) === 0;
}

function parseLine(bytes: Buffer): ProxyHeader | undefined {
  const end = bytes.subarray(0, maxLineBytes).indexOf('\r\n');
  if (end < 0) {
    if (bytes.length < maxLineBytes) return undefined;
    throw new ProxyHeaderError(`the PROXY line is longer than ${maxLineBytes} bytes`);
  }
  const line = bytes.toString('latin1', versionOne.length, end);
  const length = end + 2;
  const [family = '', source = '', destination = '', sourcePort = '', destinationPort = '', ...rest] =
    line.split(' ');
  // What follows UNKNOWN says nothing.
  if (family === 'UNKNOWN') return { length, ends: undefined };
  const isAddress = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isIPv6 : undefined;
  if (isAddress === undefined) throw new ProxyHeaderError('the PROXY line names no family that exists');
  const remotePort = portOf(sourcePort);
  const localPort = portOf(destinationPort);
  const isWhole = isAddress(source) && isAddress(destination) && rest.length === 0;
  if (!isWhole || remotePort === undefined || localPort === undefined)
    throw new ProxyHeaderError('the PROXY line does not hold two addresses and two ports');
  return {
    length,
    ends: {
      remote: { address: plainAddress(source), port: remotePort },
      local: { address: plainAddress(destination), port: localPort },
    },
  };
}

function portOf(text: string): number | undefined {
  const port = /^(?:0|[1-9]\d{0,4})$/.test(text) ? Number(text) : Number.NaN;
  return port <= 65_535 ? port : undefined;
}

function parseBinary(bytes: Buffer): ProxyHeader | undefined {
  const versionAndCommand = bytes.readUInt8(12);
  const familyAndTransport = bytes.readUInt8(13);
  const blockLength = bytes.readUInt16BE(14);
  if (versionAndCommand !== 0x20 && versionAndCommand !== 0x21)
    throw new ProxyHeaderError('the PROXY header has a version or command that does not exist');
  if (blockLength > maxBlockBytes)
    throw new ProxyHeaderError(`the PROXY header announces ${blockLength} bytes: ${maxBlockBytes} are read`);
  const length = headBytes + blockLength;
  if (bytes.length < length) return undefined;
  // LOCAL: the forwarder's own connection. The addresses, if any, are to be skipped.
  if (versionAndCommand === 0x20) return { length, ends: undefined };
  const block = bytes.subarray(headBytes, length);
  switch (familyAndTransport) {
    case 0x11:
      return { length, ends: endsOf(block, 4) };
    case 0x21:
      return { length, ends: endsOf(block, 16) };
    // Not stated, or a Unix socket of the forwarder's: no address that could be reported.
    case 0x00:
    case 0x31:
      return { length, ends: undefined };
    default:
      throw new ProxyHeaderError('the PROXY header names a family or transport that is not TCP');
  }
}

function endsOf(block: Buffer, size: 4 | 16): ProxyHeader['ends'] {
  if (block.length < 2 * size + 4)
    throw new ProxyHeaderError('the PROXY header is too short for its addresses');
  return {
    remote: { address: addressText(block.subarray(0, size)), port: block.readUInt16BE(2 * size) },
    local: { address: addressText(block.subarray(size, 2 * size)), port: block.readUInt16BE(2 * size + 2) },
  };
}
