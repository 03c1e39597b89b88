// The few calls of the C library that Node has no words for, by way of the optional package koffi.
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** Options of a socket; each call answers 0, or -1 with an error number. */
export interface SocketOptionCalls {
  getOption(fd: number, level: number, name: number, value: Buffer): number;
  setOption(fd: number, level: number, name: number, value: number): number;
  /** The number of the last error. */
  errorNumber(): number;
}

/** Sockets of families that Node does not know. Each call answers -1 where it fails. */
export interface RawSocketCalls {
  open(family: number, type: number, protocol: number): number;
  /** How many bytes were sent; never waits. */
  send(fd: number, bytes: Buffer): number;
  /** How many bytes came; -1 as well when there are none yet. */
  receive(fd: number, into: Buffer): number;
  close(fd: number): number;
}

export type CLibrary = SocketOptionCalls & RawSocketCalls;

/** `MSG_DONTWAIT` of Linux. */
const doNotWait = 0x40;

/**
 * Loads them for Linux.
 *
 * @throws when koffi is not installed, or has no build for this machine
 */
export async function loadCLibrary(): Promise<CLibrary> {
  const koffi = await import('koffi');
  // The C library that this process runs on: glibc and musl name it differently, and both are already there.
  const library = koffi.load(null);
  const getOption = library.func('int getsockopt(int, int, int, _Out_ uint8_t *, _Inout_ uint32_t *)');
  const setOption = library.func('int setsockopt(int, int, int, int *, uint32_t)');
  const open = library.func('int socket(int, int, int)');
  const send = library.func('intptr_t send(int, uint8_t *, size_t, int)');
  const receive = library.func('intptr_t recv(int, _Out_ uint8_t *, size_t, int)');
  const close = library.func('int close(int)');
  return {
    getOption: (fd, level, name, value) => Number(getOption(fd, level, name, value, [value.length])),
    setOption: (fd, level, name, value) => Number(setOption(fd, level, name, [value], 4)),
    errorNumber: () => koffi.errno(),
    open: (family, type, protocol) => Number(open(family, type, protocol)),
    send: (fd, bytes) => Number(send(fd, bytes, bytes.length, doNotWait)),
    receive: (fd, into) => Number(receive(fd, into, into.length, doNotWait)),
    close: (fd) => Number(close(fd)),
  };
}

/** The descriptor behind a TCP or Unix stream; `undefined` for any other stream, and once it is closed. */
export function descriptorOf(stream: Duplex): number | undefined {
  if (!(stream instanceof Socket)) return undefined;
  const handle: unknown = Reflect.get(stream, '_handle');
  const fd: unknown = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'fd') : undefined;
  return typeof fd === 'number' && fd >= 0 ? fd : undefined;
}
