// Messages of gRPC, gRPC-Web and Connect streams: each has one octet of flags and four of length before it. Only what has come of
// one message is held: a length alone costs nothing.
import type { GrpcProtocol } from '../grpc.ts';
import { Base64Stream } from './base64-stream.ts';
import { FrameError } from './frame.ts';
import type { FrameErrorCode, FrameErrorFacts, FrameParser } from './frame.ts';
import { GrpcInflater, type GrpcMessageIssue } from './grpc-inflate.ts';
import { asBuffer, checkedLimit, HeldBytes } from './held-bytes.ts';

/** What is known of a message besides its bytes. */
export interface GrpcFacts {
  readonly kind: 'grpc_message';
  /**
   * The message was sent compressed, with the coding that `grpc-encoding` or `connect-content-encoding` names. The payload is what it
   * says, unless there is an issue.
   */
  readonly isCompressed: boolean;
  /** It is no message but tells how the call ended: trailers as header lines in gRPC-Web, JSON in Connect. */
  readonly isEndOfStream: boolean;
  /** Of a compressed message: its length as it was sent, without the prefix. */
  readonly wireBytes?: number;
  /** Why the payload of a compressed message is as it was sent. */
  readonly issue?: GrpcMessageIssue;
}

type MessageEmit = (payload: Uint8Array, facts: GrpcFacts) => void;

const prefixLength = 5;
const compressedFlag = 0x01;

// The flag of the frame that ends a stream, 0 where trailers do.
const endFlagOf = {
  grpc: 0,
  grpc_web: 0x80,
  grpc_web_text: 0x80,
  connect_stream: 0x02,
} as const satisfies Record<GrpcProtocol, number>;

const plain: GrpcFacts = Object.freeze({ kind: 'grpc_message', isCompressed: false, isEndOfStream: false });
const plainEnd: GrpcFacts = Object.freeze({ kind: 'grpc_message', isCompressed: false, isEndOfStream: true });

const nothing: Buffer = Buffer.alloc(0);

/**
 * Emits each message without its prefix, inflated where it is compressed, an empty one as soon as its prefix is complete.
 *
 * @param maxBytes longest message, without its prefix, before and after it is inflated
 * @param protocol which flags there may be, and whether the bytes are base64
 * @param coding of compressed messages, see `GrpcInflater`
 */
export class GrpcParser implements FrameParser {
  readonly kind = 'grpc_message';
  readonly #maxBytes: number;
  readonly #endFlag: number;
  readonly #base64: Base64Stream | undefined;
  readonly #coding: string | undefined;
  readonly #held: HeldBytes;
  /** Made for the first compressed message. */
  #inflater: GrpcInflater | undefined;
  #sequence: number;
  #prefixCount: number;
  #flags: number;
  #length: number;
  /** The frame that ends the stream has come. */
  #hasEndFrame: boolean;
  #isDone: boolean;

  constructor(maxBytes: number, protocol: GrpcProtocol = 'grpc', coding?: string) {
    this.#maxBytes = checkedLimit(maxBytes);
    this.#endFlag = endFlagOf[protocol];
    this.#base64 = protocol === 'grpc_web_text' ? new Base64Stream() : undefined;
    this.#coding = coding;
    this.#held = new HeldBytes();
    this.#inflater = undefined;
    this.#sequence = 1;
    this.#prefixCount = 0;
    this.#flags = 0;
    this.#length = 0;
    this.#hasEndFrame = false;
    this.#isDone = false;
  }

  /**
   * Emits the messages that these bytes complete; the payload is a view that is valid during the call.
   * @throws {FrameError} `invalid_compressed_flag`, `message_too_large`, `invalid_frame` for what is not base64 or follows the frame
   * that ends the stream. The messages before were emitted; all that follows is ignored.
   */
  push(chunk: Uint8Array, emit: MessageEmit): void {
    if (this.#isDone) return;
    if (this.#base64 === undefined) {
      this.#read(asBuffer(chunk), emit);
      return;
    }
    this.#read(this.#base64.decode(chunk), emit);
    if (this.#base64.isFaulty) {
      throw this.#fail('invalid_frame', 'a character that is not base64 stands in the stream');
    }
  }

  /** @throws {FrameError} `truncated_prefix` or `length_mismatch` when the body ends inside a message, `truncated_frame` inside base64. */
  end(_emit: MessageEmit): void {
    if (this.#isDone) return;
    if (this.#base64?.isPartial === true) {
      throw this.#fail('truncated_frame', 'the body ended inside a group of four base64 characters');
    }
    const { length: heldBytes } = this.#held;
    if (this.#prefixCount === prefixLength) {
      const missingBytes = this.#length - heldBytes;
      const message = `the body ended ${missingBytes} bytes before the end of a message of ${this.#length}`;
      throw this.#fail('length_mismatch', message, { declaredBytes: this.#length, missingBytes });
    }
    if (this.#prefixCount > 0) {
      const message = `the body ended after ${this.#prefixCount} of the ${prefixLength} bytes before a message`;
      throw this.#fail('truncated_prefix', message, { prefixBytes: this.#prefixCount });
    }
    this.#isDone = true;
  }

  #read(bytes: Buffer, emit: MessageEmit): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#prefixCount < prefixLength) {
        at = this.#readPrefix(bytes, at);
        if (this.#prefixCount < prefixLength) return;
        this.#checkPrefix();
        if (this.#length === 0) this.#deliver(nothing, emit);
        continue;
      }
      const end = Math.min(at + this.#length - this.#held.length, bytes.length);
      if (end - at === this.#length) this.#deliver(bytes.subarray(at, end), emit);
      else {
        this.#held.append(bytes, at, end);
        if (this.#held.length === this.#length) this.#deliver(this.#held.take(), emit);
      }
      at = end;
    }
  }

  #readPrefix(bytes: Buffer, from: number): number {
    if (this.#hasEndFrame) {
      throw this.#fail('invalid_frame', 'bytes follow the frame that ends the stream');
    }
    let at = from;
    for (; at < bytes.length && this.#prefixCount < prefixLength; at++) {
      const byte = bytes[at] ?? 0;
      if (this.#prefixCount === 0) {
        this.#flags = byte;
        this.#length = 0;
      } else this.#length = this.#length * 256 + byte;
      this.#prefixCount++;
    }
    return at;
  }

  #checkPrefix(): void {
    const declaredBytes = this.#length;
    if ((this.#flags & ~(compressedFlag | this.#endFlag)) !== 0) {
      const message = `the flags 0x${this.#flags.toString(16).padStart(2, '0')} before a message are not known`;
      throw this.#fail('invalid_compressed_flag', message, { declaredBytes });
    }
    if (declaredBytes > this.#maxBytes) {
      const message = `a message has ${declaredBytes} bytes: at most ${this.#maxBytes} are read`;
      throw this.#fail('message_too_large', message, { declaredBytes, missingBytes: declaredBytes });
    }
  }

  #deliver(payload: Buffer, emit: MessageEmit): void {
    const isCompressed = (this.#flags & compressedFlag) !== 0;
    this.#hasEndFrame = (this.#flags & this.#endFlag) !== 0;
    this.#sequence++;
    this.#prefixCount = 0;
    if (isCompressed) this.#inflate(payload, emit);
    else emit(payload, this.#hasEndFrame ? plainEnd : plain);
  }

  #inflate(payload: Buffer, emit: MessageEmit): void {
    this.#inflater ??= new GrpcInflater(this.#coding, this.#maxBytes);
    const { bytes, issue } = this.#inflater.inflate(payload);
    emit(bytes, {
      kind: 'grpc_message',
      isCompressed: true,
      isEndOfStream: this.#hasEndFrame,
      wireBytes: payload.length,
      ...(issue === undefined ? {} : { issue }),
    });
  }

  #fail(code: FrameErrorCode, message: string, facts?: FrameErrorFacts): FrameError {
    this.#isDone = true;
    this.#held.clear();
    return new FrameError(code, message, { sequence: this.#sequence, ...facts });
  }
}
