// What is said in SOCKS5 (RFC 1928) before the connection stands, and in its sub-negotiation of a user and a password (RFC 1929),
// as the server reads and writes it. Pure: bytes in, messages out.
import { AuthorityError, type Authority, canonicalHost } from 'mitm-http';

import { addressText } from './address-text.ts';

export const socksVersion = 5;

/** How a client can be asked who it is (RFC 1928 §3). */
export const socksMethod = { none: 0, password: 2, refused: 255 } as const;

/** What a request is answered with (RFC 1928 §6). */
export const socksReply = {
  succeeded: 0,
  generalFailure: 1,
  notAllowed: 2,
  networkUnreachable: 3,
  hostUnreachable: 4,
  connectionRefused: 5,
  commandUnsupported: 7,
  addressTypeUnsupported: 8,
} as const;
export type SocksReply = (typeof socksReply)[keyof typeof socksReply];

/** Thrown for what is not SOCKS5, or asks for what is not offered. */
export class SocksError extends Error {
  override readonly name = 'SocksError';
  /** What to answer, where the client waits for an answer. */
  readonly answer: Buffer | undefined;

  constructor(message: string, answer?: Buffer) {
    super(message);
    this.answer = answer;
  }
}

/** A message, and how many bytes it had. */
export interface Read<T> {
  readonly value: T;
  readonly length: number;
}

/** Reads which methods a client offers. @throws SocksError for another version */
export function parseGreeting(bytes: Buffer): Read<readonly number[]> | undefined {
  const version = bytes[0];
  if (version !== undefined && version !== socksVersion) {
    // A client of SOCKS4 reads a refusal of its own kind: version 0, code 91.
    const answer = version === 4 ? Buffer.from([0, 91, 0, 0, 0, 0, 0, 0]) : undefined;
    throw new SocksError(`version ${version} is not SOCKS5`, answer);
  }
  const length = 2 + (bytes[1] ?? Number.POSITIVE_INFINITY);
  return bytes.length < length ? undefined : { value: [...bytes.subarray(2, length)], length };
}

/** The answer to the greeting. */
export function methodAnswer(method: number): Buffer {
  return Buffer.from([socksVersion, method]);
}

export interface SocksCredentials {
  readonly username: string;
  readonly password: string;
}

/** Reads a name and a password. @throws SocksError for another version of the sub-negotiation */
export function parseCredentials(bytes: Buffer): Read<SocksCredentials> | undefined {
  if (bytes.length > 0 && bytes[0] !== 1)
    throw new SocksError(
      `version ${bytes[0]} of the password negotiation does not exist`,
      passwordAnswer(false),
    );
  const nameEnd = 2 + (bytes[1] ?? Number.POSITIVE_INFINITY);
  const length = nameEnd + 1 + (bytes[nameEnd] ?? Number.POSITIVE_INFINITY);
  if (bytes.length < length) return undefined;
  return {
    value: {
      username: bytes.toString('utf8', 2, nameEnd),
      password: bytes.toString('utf8', nameEnd + 1, length),
    },
    length,
  };
}

/** The answer to a name and a password. */
export function passwordAnswer(isRight: boolean): Buffer {
  return Buffer.from([1, isRight ? 0 : 1]);
}

/**
 * Reads what a client wants to be connected to.
 *
 * @throws SocksError, with its answer, for any command but CONNECT, and for an address that is none
 */
export function parseRequest(bytes: Buffer): Read<Authority> | undefined {
  const [version, command, reserved, kind, first] = bytes;
  if (version !== undefined && version !== socksVersion)
    throw new SocksError(
      `version ${version} in the request is not SOCKS5`,
      requestAnswer(socksReply.generalFailure),
    );
  if (command !== undefined && command !== 1)
    throw new SocksError(`command ${command} is not CONNECT`, requestAnswer(socksReply.commandUnsupported));
  if (reserved !== undefined && reserved !== 0)
    throw new SocksError('the reserved byte is not 0', requestAnswer(socksReply.generalFailure));
  if (kind === undefined) return undefined;
  const start = kind === 3 ? 5 : 4;
  const size = kind === 1 ? 4 : kind === 4 ? 16 : kind === 3 ? first : undefined;
  if (kind !== 1 && kind !== 3 && kind !== 4)
    throw new SocksError(
      `address type ${kind} does not exist`,
      requestAnswer(socksReply.addressTypeUnsupported),
    );
  if (size === undefined || bytes.length < start + size + 2) return undefined;
  const address = bytes.subarray(start, start + size);
  const port = bytes.readUInt16BE(start + size);
  return { value: targetOf(address, kind === 3, port), length: start + size + 2 };
}

function targetOf(address: Buffer, isName: boolean, port: number): Authority {
  const refused = requestAnswer(socksReply.generalFailure);
  if (port === 0) throw new SocksError('port 0 cannot be connected to', refused);
  if (!isName) return { host: addressText(address), port };
  try {
    return { host: canonicalHost(address.toString('utf8')), port };
  } catch (error) {
    if (error instanceof AuthorityError) throw new SocksError(error.message, refused);
    throw error;
  }
}

/** The answer to a request. The bound address that it has room for is of no use to anybody: it is all zeros. */
export function requestAnswer(reply: SocksReply): Buffer {
  return Buffer.from([socksVersion, reply, 0, 1, 0, 0, 0, 0, 0, 0]);
}
