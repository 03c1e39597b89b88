// What Node does not tell of a socket: the address that a redirected connection was for, by way of the C library. It needs Linux
// and the optional package koffi; whatever is missing is said at the start.
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import { errorText, MitmError, type SocketEndpoint } from 'mitm-core';

import { descriptorOf, loadCLibrary, type SocketOptionCalls } from '../native/c-library.ts';
import { addressText, plainAddress } from './address-text.ts';

/** From the headers of Linux: `SOL_IP`, `SOL_IPV6`, `SO_ORIGINAL_DST`, `IP_TRANSPARENT`, `IPV6_TRANSPARENT`. */
const level = { ipv4: 0, ipv6: 41 } as const;
const originalDestination = 80;
const transparent = { ipv4: 19, ipv6: 75 } as const;
const permissionError = 1;
/** `sockaddr_in6`, the larger of the two. */
const addressBytes = 28;

export class NativeSockets {
  readonly #calls: SocketOptionCalls;

  constructor(calls: SocketOptionCalls) {
    this.#calls = calls;
  }

  /** The address that a connection was for before REDIRECT or DNAT; undefined where the system remembers none. */
  originalTarget(stream: Duplex): SocketEndpoint | undefined {
    const fd = descriptorOf(stream);
    if (fd === undefined || !(stream instanceof Socket)) return undefined;
    const isIpv6 = stream.remoteFamily === 'IPv6' && !/^::ffff:\d+\./i.test(stream.remoteAddress ?? '');
    const value = Buffer.alloc(addressBytes);
    const result = this.#calls.getOption(fd, isIpv6 ? level.ipv6 : level.ipv4, originalDestination, value);
    if (result !== 0) return undefined;
    // Both kinds of address begin with a family and a port.
    const port = value.readUInt16BE(2);
    return { address: addressText(isIpv6 ? value.subarray(8, 24) : value.subarray(4, 8)), port };
  }

  /** The address of our end: behind TPROXY, the one that the client had dialled. */
  localAddress(stream: Duplex): SocketEndpoint | undefined {
    if (!(stream instanceof Socket) || stream.localAddress === undefined) return undefined;
    return { address: plainAddress(stream.localAddress), port: stream.localPort ?? 0 };
  }

  /**
   * Lets a listening socket take connections that are for other addresses.
   *
   * @throws MitmError `ERR_MITM_LISTEN_FAILED` where this process may not do that
   */
  allowTransparent(fd: number | undefined): void {
    if (fd === undefined) throw unavailable('the listening socket has no descriptor');
    const families = [
      [level.ipv4, transparent.ipv4],
      [level.ipv6, transparent.ipv6],
    ] as const;
    const errors = families.flatMap(([family, option]) =>
      this.#calls.setOption(fd, family, option, 1) === 0 ? [] : [this.#calls.errorNumber()],
    );
    // Only one of them need fit the family of the socket.
    if (errors.length < families.length) return;
    throw unavailable(
      errors.includes(permissionError)
        ? 'TPROXY needs the capability CAP_NET_ADMIN: run as root, or give it to the process'
        : `IP_TRANSPARENT is refused with error ${errors.join(' and ')}`,
    );
  }
}

/**
 * Loads what redirected connections need.
 *
 * @throws MitmError `ERR_MITM_LISTEN_FAILED` saying what is missing
 */
export async function loadNativeSockets(
  platform: NodeJS.Platform = process.platform,
  load: () => Promise<SocketOptionCalls> = loadCLibrary,
): Promise<NativeSockets> {
  if (platform !== 'linux') throw unavailable(`it exists on Linux, and this is ${platform}`);
  try {
    return new NativeSockets(await load());
  } catch (error) {
    throw unavailable(
      `the optional package koffi can't be loaded (${errorText(error)}): npm install koffi`,
      error,
    );
  }
}

function unavailable(why: string, cause?: unknown): MitmError {
  return new MitmError('ERR_MITM_LISTEN_FAILED', `redirected connections can't be taken: ${why}`, { cause });
}
