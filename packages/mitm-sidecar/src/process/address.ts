// IP addresses as bytes, so that the spellings of Node, the kernel, lsof and Windows can be compared. An IPv4-mapped IPv6
// address (RFC 4291 §2.5.5.2) counts as the IPv4 address it stands for.
import { isIPv4, isIPv6 } from 'node:net';

const mappedPrefix = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255] as const;

/**
 * The bytes of an IP address in network order: 4 for IPv4 and for IPv4-mapped addresses, else 16. A zone (`%eth0`) is left
 * out. `undefined` when the text is no address.
 */
export function addressBytes(text: string): readonly number[] | undefined {
  const zone = text.indexOf('%');
  const address = zone < 0 ? text : text.slice(0, zone);
  if (isIPv4(address)) return address.split('.').map(Number);
  if (!isIPv6(address)) return undefined;
  const bytes = ipv6Bytes(address);
  return mappedPrefix.every((byte, index) => bytes[index] === byte) ? bytes.slice(12) : bytes;
}

/** The 16 bytes of an address, IPv4 in its IPv4-mapped form. */
export function wideBytes(bytes: readonly number[]): readonly number[] {
  return bytes.length === 4 ? [...mappedPrefix, ...bytes] : bytes;
}

/** One key for all spellings of an address, or `undefined` when the text is none. */
export function addressKey(text: string): string | undefined {
  return addressBytes(text)?.join('.');
}

/** Whether an address is 127.0.0.0/8 or ::1. */
export function isLoopback(text: string): boolean {
  const bytes = addressBytes(text);
  if (bytes === undefined) return false;
  return bytes.length === 4
    ? bytes[0] === 127
    : bytes.every((byte, index) => byte === (index === 15 ? 1 : 0));
}

/** Expects a valid IPv6 address without a zone. */
function ipv6Bytes(address: string): number[] {
  const [head = '', tail] = address.split('::');
  const front = groupBytes(head);
  if (tail === undefined) return front;
  const back = groupBytes(tail);
  const gap = Array.from({ length: 16 - front.length - back.length }, () => 0);
  return [...front, ...gap, ...back];
}

function groupBytes(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number);
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 255];
  });
}
