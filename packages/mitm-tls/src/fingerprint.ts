// JA3 and JA4: what a ClientHello tells about the program that sent it. Pure functions of the hello; GREASE
// values (RFC 8701) never count.
import { hash } from 'node:crypto';

import { type ClientHello, extensionTypes } from './client-hello-body.ts';

/** A JA3 fingerprint: its readable form and the MD5 of that in lower-case hex. */
export interface Ja3 {
  readonly string: string;
  readonly hash: string;
}

/** JA3: legacy version, cipher suites, extensions, groups and point formats in wire order. */
export function ja3(hello: ClientHello): Ja3 {
  const lists = [hello.cipherSuites, hello.extensions, hello.groups, hello.pointFormats];
  const string = [hello.legacyVersion, ...lists.map((list) => list.filter(isNotGrease).join('-'))].join(',');
  return { string, hash: hash('md5', string) };
}

/** JA4 of a hello that came over TCP, for example `t13d1517h2_8daaf6152771_cb7bf5808d99`. */
export function ja4(hello: ClientHello): string {
  const ciphers = hello.cipherSuites.filter(isNotGrease);
  const extensions = hello.extensions.filter(isNotGrease);
  const first =
    `t${versionCode(hello)}${extensions.includes(extensionTypes.serverName) ? 'd' : 'i'}` +
    `${twoDigits(ciphers.length)}${twoDigits(extensions.length)}${alpnCode(hello.alpn[0])}`;
  return `${first}_${shortHash(sortedHex(ciphers))}_${shortHash(extensionsText(hello, extensions))}`;
}

/** Both fingerprints of one hello, each computed when it is first read and then kept: nobody pays for what nobody reads. */
export class TlsClientFingerprint {
  readonly #hello: ClientHello;
  #ja3: string | undefined;
  #ja4: string | undefined;

  constructor(hello: ClientHello) {
    this.#hello = hello;
    this.#ja3 = undefined;
    this.#ja4 = undefined;
  }

  /** The hash of the JA3: 32 digits of lower-case hex. */
  get ja3(): string {
    this.#ja3 ??= ja3(this.#hello).hash;
    return this.#ja3;
  }

  get ja4(): string {
    this.#ja4 ??= ja4(this.#hello);
    return this.#ja4;
  }
}

const versionCodes: ReadonlyMap<number, string> = new Map([
  [0x0304, '13'],
  [0x0303, '12'],
  [0x0302, '11'],
  [0x0301, '10'],
  [0x0300, 's3'],
]);

function versionCode(hello: ClientHello): string {
  const offered = hello.supportedVersions.filter(isNotGrease);
  return versionCodes.get(offered.length > 0 ? Math.max(...offered) : hello.legacyVersion) ?? '00';
}

function alpnCode(protocol: string | undefined): string {
  if (protocol === undefined) return '00';
  const ends = `${protocol.at(0) ?? ''}${protocol.at(-1) ?? ''}`;
  if (/^[0-9A-Za-z]{2}$/.test(ends)) return ends;
  const hex = Buffer.from(protocol, 'latin1').toString('hex');
  return `${hex.at(0) ?? '0'}${hex.at(-1) ?? '0'}`;
}

function extensionsText(hello: ClientHello, extensions: readonly number[]): string {
  const sorted = sortedHex(
    extensions.filter((type) => type !== extensionTypes.serverName && type !== extensionTypes.alpn),
  );
  const algorithms = hello.signatureAlgorithms.filter(isNotGrease).map(hex4);
  return algorithms.length === 0 ? sorted : `${sorted}_${algorithms.join(',')}`;
}

function sortedHex(values: readonly number[]): string {
  return values.map(hex4).toSorted().join(',');
}

function shortHash(text: string): string {
  return text === '' ? '000000000000' : hash('sha256', text).slice(0, 12);
}

function hex4(value: number): string {
  return value.toString(16).padStart(4, '0');
}

function twoDigits(count: number): string {
  return String(Math.min(count, 99)).padStart(2, '0');
}

// 0x0a0a, 0x1a1a … 0xfafa.
function isNotGrease(value: number): boolean {
  return (value & 0x0f0f) !== 0x0a0a || value >> 8 !== (value & 0xff);
}
