// The content of a ClientHello (RFC 8446 §4.1.2) as values in wire order. Every length is checked against
// what contains it; anything left over, twice or cut short makes it malformed, because a hello read
// differently by two parties is a way past us.
import { ClientHelloError } from './errors.ts';
import { canonicalHostName } from './server-name.ts';

/** What a client offers. Lists are in wire order and hold GREASE values as sent (RFC 8701). */
export interface ClientHello {
  /**
   * The host name asked for: lower case, without trailing dot. Undefined when there is none or it is no valid
   * host name.
   */
  readonly sni?: string | undefined;
  /** Protocol names; octets above 0x7f stand as the characters of that number. */
  readonly alpn: readonly string[];
  readonly legacyVersion: number;
  readonly supportedVersions: readonly number[];
  readonly cipherSuites: readonly number[];
  /** Extension types. */
  readonly extensions: readonly number[];
  readonly groups: readonly number[];
  readonly pointFormats: readonly number[];
  readonly signatureAlgorithms: readonly number[];
  /** Whether encrypted_client_hello is there, be it real or GREASE. */
  readonly hasEch: boolean;
  readonly sessionIdLength: number;
  /** Bytes on the wire up to the end of the hello, record headers included. */
  readonly byteLength: number;
}

/** Extension types used here (IANA TLS ExtensionType registry). */
export const extensionTypes = {
  serverName: 0,
  supportedGroups: 10,
  pointFormats: 11,
  signatureAlgorithms: 13,
  alpn: 16,
  supportedVersions: 43,
  encryptedClientHello: 0xfe0d,
} as const;

/** Reads the body of a ClientHello message. Throws {@link ClientHelloError} `malformed`. */
export function parseClientHello(body: Buffer, byteLength: number): ClientHello {
  const cursor = new Cursor(body, 'ClientHello');
  const legacyVersion = cursor.uint16();
  cursor.bytes(32);
  const sessionId = cursor.vector8('session id');
  if (sessionId.left > 32) throw malformed(`a session id of ${sessionId.left} bytes, 32 at most`);
  const cipherSuites = cursor.vector16('cipher suites').uint16List();
  cursor.vector8('compression methods').requireSome();
  const extensions = readExtensions(cursor);
  cursor.requireEnd();
  const extension = (type: number): Cursor | undefined => extensions.get(type);
  return {
    sni: readServerName(extension(extensionTypes.serverName)),
    alpn: readProtocols(extension(extensionTypes.alpn)),
    legacyVersion,
    supportedVersions: extension(extensionTypes.supportedVersions)?.whole8().uint16List() ?? [],
    cipherSuites,
    extensions: [...extensions.keys()],
    groups: extension(extensionTypes.supportedGroups)?.whole16().uint16List() ?? [],
    pointFormats: extension(extensionTypes.pointFormats)?.whole8().uint8List() ?? [],
    signatureAlgorithms: extension(extensionTypes.signatureAlgorithms)?.whole16().uint16List() ?? [],
    hasEch: extensions.has(extensionTypes.encryptedClientHello),
    sessionIdLength: sessionId.left,
    byteLength,
  };
}

function readExtensions(cursor: Cursor): ReadonlyMap<number, Cursor> {
  const extensions = new Map<number, Cursor>();
  // A hello of TLS 1.2 or older may end without them.
  if (cursor.left === 0) return extensions;
  const list = cursor.vector16('extensions');
  while (list.left > 0) {
    const type = list.uint16();
    if (extensions.has(type)) throw malformed(`extension ${type} comes twice`);
    extensions.set(type, list.vector16(`extension ${type}`));
  }
  return extensions;
}

// RFC 6066 §3: a list with at most one name of each type, and host_name (0) the only type there is.
function readServerName(extension: Cursor | undefined): string | undefined {
  if (extension === undefined) return undefined;
  const list = extension.whole16();
  list.requireSome();
  let name: string | undefined;
  while (list.left > 0) {
    const type = list.uint8();
    const value = list.vector16('server name');
    value.requireSome();
    if (type !== 0) continue;
    if (name !== undefined) throw malformed('two host names in the server name indication');
    name = value.latin1();
  }
  return name === undefined || !/^[\x21-\x7e]+$/.test(name) ? undefined : canonicalHostName(name);
}

function readProtocols(extension: Cursor | undefined): readonly string[] {
  if (extension === undefined) return [];
  const list = extension.whole16();
  list.requireSome();
  const protocols: string[] = [];
  while (list.left > 0) {
    const protocol = list.vector8('protocol name');
    protocol.requireSome();
    protocols.push(protocol.latin1());
  }
  return protocols;
}

function malformed(what: string): ClientHelloError {
  return new ClientHelloError('malformed', `unreadable ClientHello: ${what}`);
}

// A place in a run of bytes that refuses to step out of it.
class Cursor {
  readonly #bytes: Buffer;
  readonly #what: string;
  #offset = 0;

  constructor(bytes: Buffer, what: string) {
    this.#bytes = bytes;
    this.#what = what;
  }

  get left(): number {
    return this.#bytes.length - this.#offset;
  }

  bytes(count: number): Buffer {
    if (count > this.left) throw malformed(`${this.#what} is cut short`);
    this.#offset += count;
    return this.#bytes.subarray(this.#offset - count, this.#offset);
  }

  uint8(): number {
    return this.bytes(1).readUInt8();
  }

  uint16(): number {
    return this.bytes(2).readUInt16BE();
  }

  vector8(what: string): Cursor {
    return new Cursor(this.bytes(this.uint8()), what);
  }

  vector16(what: string): Cursor {
    return new Cursor(this.bytes(this.uint16()), what);
  }

  // The one vector that fills this run.
  whole8(): Cursor {
    const inner = this.vector8(this.#what);
    this.requireEnd();
    return inner;
  }

  whole16(): Cursor {
    const inner = this.vector16(this.#what);
    this.requireEnd();
    return inner;
  }

  uint8List(): readonly number[] {
    this.requireSome();
    return [...this.bytes(this.left)];
  }

  uint16List(): readonly number[] {
    this.requireSome();
    const values: number[] = [];
    while (this.left > 0) values.push(this.uint16());
    return values;
  }

  latin1(): string {
    return this.bytes(this.left).toString('latin1');
  }

  requireSome(): void {
    if (this.left === 0) throw malformed(`${this.#what} is empty`);
  }

  requireEnd(): void {
    if (this.left > 0) throw malformed(`${this.left} bytes behind the end of ${this.#what}`);
  }
}
