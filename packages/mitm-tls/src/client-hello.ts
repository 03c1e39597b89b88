// Finds the ClientHello in the first bytes of a connection, however they are cut into segments and records.
// It copies what it needs, keeps no chunk, never holds more than its limit, and throws ClientHelloError for
// everything it cannot read.
import { type ClientHello, parseClientHello } from './client-hello-body.ts';
import { ClientHelloError } from './errors.ts';

export type { ClientHello } from './client-hello-body.ts';

const recordHeaderLength = 5;
const handshakeHeaderLength = 4;
const handshakeContentType = 22;
const clientHelloType = 1;
// RFC 8446 §5.1.
const maxRecordLength = 16_384;
/** Set in the first octet of a record of SSLv2. */
const sslv2LengthBit = 0x80;
const noBytes = Buffer.alloc(0);

export interface ClientHelloReaderOptions {
  /** Most bytes read in search of a whole hello, record headers included; 65536 when left out. */
  readonly maxBytes?: number;
}

/** Reads one ClientHello from the chunks of a connection. */
export class ClientHelloReader {
  readonly #maxBytes: number;
  readonly #header = Buffer.alloc(recordHeaderLength);
  #headerLength = 0;
  #recordLeft = 0;
  #readBytes = 0;
  // The handshake message: its 4 octets of header first, then the body.
  #message: Buffer = Buffer.alloc(handshakeHeaderLength);
  #messageLength = 0;
  #wantedLength = handshakeHeaderLength;
  #hello: ClientHello | undefined = undefined;
  #error: ClientHelloError | undefined = undefined;

  constructor(options: ClientHelloReaderOptions = {}) {
    this.#maxBytes = options.maxBytes ?? 65_536;
  }

  /**
   * Takes the next bytes. Returns the hello once it is whole and undefined while more is wanted; what follows
   * it is not looked at. Throws {@link ClientHelloError}, also at each later call: `not_tls` when the first
   * bytes are no TLS record, `malformed` when they are and do not hold a readable ClientHello, `too_large`
   * when it does not end within `maxBytes`.
   */
  push(chunk: Uint8Array): ClientHello | undefined {
    if (this.#hello !== undefined) return this.#hello;
    if (this.#error !== undefined) throw this.#error;
    try {
      this.#hello = this.#read(chunk);
      return this.#hello;
    } catch (error) {
      if (error instanceof ClientHelloError) this.#error = error;
      throw error;
    }
  }

  #read(chunk: Uint8Array): ClientHello | undefined {
    let offset = 0;
    while (offset < chunk.length) {
      if (this.#readBytes >= this.#maxBytes) throw this.#tooLarge();
      if (this.#recordLeft === 0) {
        this.#takeHeaderByte(chunk[offset] ?? 0);
        offset += 1;
        continue;
      }
      const taken = this.#takeMessage(chunk.subarray(offset));
      offset += taken;
      if (this.#messageLength === this.#wantedLength) {
        const body = this.#message.subarray(handshakeHeaderLength);
        this.#message = noBytes;
        return parseClientHello(body, this.#readBytes);
      }
    }
    return undefined;
  }

  #takeHeaderByte(byte: number): void {
    const isFirstRecord = this.#readBytes < recordHeaderLength;
    this.#header[this.#headerLength] = byte;
    if (isFirstRecord && (this.#header[0] ?? 0) >= sslv2LengthBit) {
      this.#takeSslv2Byte();
      return;
    }
    if (this.#headerLength === 0 && byte !== handshakeContentType) throw strangeRecord(isFirstRecord, byte);
    if (this.#headerLength === 1 && byte !== 3) throw strangeRecord(isFirstRecord, byte);
    this.#headerLength += 1;
    this.#readBytes += 1;
    if (this.#headerLength < recordHeaderLength) return;
    const length = this.#header.readUInt16BE(3);
    if (length === 0 || length > maxRecordLength) {
      throw new ClientHelloError(
        'malformed',
        `a handshake record of ${length} bytes: RFC 8446 §5.1 allows 1 to 16384`,
      );
    }
    this.#headerLength = 0;
    this.#recordLeft = length;
  }

  // Nothing is read in this form; it only has to be told from what is no TLS at all.
  #takeSslv2Byte(): void {
    this.#headerLength += 1;
    this.#readBytes += 1;
    const seen = this.#header.subarray(0, this.#headerLength);
    const isSslv2 = beginsLikeSslv2(seen);
    if (isSslv2 === undefined) return;
    throw isSslv2 ? sslv2Form() : strangeRecord(true, seen[0] ?? 0);
  }

  // Copies from `bytes` what belongs to this record and to the next stage of the message; returns how many
  // that were.
  #takeMessage(bytes: Uint8Array): number {
    const wanted = this.#wantedLength - this.#messageLength;
    const room = this.#maxBytes - this.#readBytes;
    const count = Math.min(bytes.length, this.#recordLeft, wanted, room);
    this.#message.set(bytes.subarray(0, count), this.#messageLength);
    this.#messageLength += count;
    this.#readBytes += count;
    this.#recordLeft -= count;
    if (this.#wantedLength === handshakeHeaderLength && this.#messageLength > 0) this.#checkMessageHeader();
    return count;
  }

  #checkMessageHeader(): void {
    const type = this.#message[0];
    if (type !== clientHelloType) {
      throw new ClientHelloError(
        'malformed',
        `handshake message ${type} where a ClientHello (1) has to come first`,
      );
    }
    if (this.#messageLength < handshakeHeaderLength) return;
    const length = this.#message.readUIntBE(1, 3);
    this.#wantedLength = handshakeHeaderLength + length;
    if (this.#wantedLength > this.#maxBytes) throw this.#tooLarge();
    if (length === 0) throw new ClientHelloError('malformed', 'a ClientHello without content');
    const message = Buffer.allocUnsafe(this.#wantedLength);
    this.#message.copy(message, 0, 0, handshakeHeaderLength);
    this.#message = message;
  }

  #tooLarge(): ClientHelloError {
    return new ClientHelloError('too_large', `the ClientHello does not end within ${this.#maxBytes} bytes`);
  }
}

/**
 * Whether a connection begins as TLS does: with a handshake record of version 3.x, or with a hello in the form
 * of SSLv2 (RFC 5246 appendix E.2), which {@link ClientHelloReader} refuses. Undefined while there are too few
 * bytes to say.
 */
export function looksLikeTls(firstBytes: Uint8Array): boolean | undefined {
  const [type, major] = firstBytes;
  if (type === undefined) return undefined;
  if (type !== handshakeContentType) return beginsLikeSslv2(firstBytes);
  return major === undefined ? undefined : major === 3;
}

/** Two octets of length with the high bit set, the message type, and a version that was ever spoken. */
function beginsLikeSslv2([first = 0, , type, major, minor]: Uint8Array): boolean | undefined {
  if (first < sslv2LengthBit) return false;
  if (type === undefined) return undefined;
  if (type !== clientHelloType) return false;
  if (major === undefined) return undefined;
  if (major === 3) return true;
  return major === 0 ? (minor === undefined ? undefined : minor === 2) : false;
}

function sslv2Form(): ClientHelloError {
  return new ClientHelloError(
    'malformed',
    'a ClientHello in the form of SSLv2, which nobody speaks any more',
  );
}

function strangeRecord(isFirstRecord: boolean, byte: number): ClientHelloError {
  return isFirstRecord
    ? new ClientHelloError('not_tls', `byte ${byte} does not begin a TLS handshake record`)
    : new ClientHelloError('malformed', `byte ${byte} where the next record of a ClientHello has to begin`);
}
