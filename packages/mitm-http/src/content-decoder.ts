// Undoes content codings (RFC 9110 §8.4) of a body as it arrives, on a copy: what each flushed block brings is there at once, so that a
// compressed stream can be watched live. What grows out of proportion is given up before it costs more than its bound.
import { type Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate, createInflateRaw } from 'node:zlib';

import { isZlibForm } from './deflate-form.ts';
import { ZstdFrames } from './zstd-frames.ts';

/** Why a body is decoded no further. Codes are stable. */
export const contentDecoderErrorCodes = [
  'unknown_coding',
  'invalid_coding',
  'ratio_exceeded',
  'too_slow',
] as const;
/** See {@link contentDecoderErrorCodes}. */
export type ContentDecoderErrorCode = (typeof contentDecoderErrorCodes)[number];

/** Told what comes out. */
export interface ContentSink {
  /** Decoded bytes, valid during the call. */
  decoded(bytes: Buffer): void;
  /** Everything has come out. */
  ended(): void;
  /** Nothing more comes out. `coding` is the one that failed. */
  failed(code: ContentDecoderErrorCode, coding: string): void;
}

export interface ContentDecoderLimits {
  /** Most bytes that may wait to be decoded. */
  readonly maxPendingBytes: number;
  /** Out of one byte may come so many, once more than `graceBytes` have come. 200 unless given. */
  readonly maxRatio?: number;
  /** 1 MiB unless given. */
  readonly graceBytes?: number;
}

/** More codings than this in one list are no honest message. */
const MAX_CODINGS = 4;
const DEFAULT_MAX_RATIO = 200;
const DEFAULT_GRACE_BYTES = 1_048_576;

/** The codings that a Content-Encoding value lists, in lower case; `identity` and empty members say nothing. */
export function codingsOf(contentEncoding: string): readonly string[] {
  return contentEncoding
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '' && name !== 'identity');
}

/** One body that is being decoded. */
export class ContentDecoder {
  readonly #codings: readonly string[];
  readonly #sink: ContentSink;
  readonly #maxPendingBytes: number;
  readonly #maxRatio: number;
  readonly #graceBytes: number;
  /** In the order in which bytes pass them; made with the first bytes, which tell the two forms of deflate apart. */
  #stages: Transform[] | undefined;
  #bytesIn: number;
  #bytesOut: number;
  #isOver: boolean;

  /** @param contentEncoding the field's value; several fields joined by commas */
  constructor(contentEncoding: string, sink: ContentSink, limits: ContentDecoderLimits) {
    this.#codings = codingsOf(contentEncoding).toReversed();
    this.#sink = sink;
    this.#maxPendingBytes = limits.maxPendingBytes;
    this.#maxRatio = limits.maxRatio ?? DEFAULT_MAX_RATIO;
    this.#graceBytes = limits.graceBytes ?? DEFAULT_GRACE_BYTES;
    this.#stages = undefined;
    this.#bytesIn = 0;
    this.#bytesOut = 0;
    this.#isOver = false;
  }

  /** Bytes that were given and not decoded yet. */
  get pendingBytes(): number {
    return this.#stages?.[0]?.writableLength ?? 0;
  }

  /** Bytes that were given. */
  get bytesIn(): number {
    return this.#bytesIn;
  }

  /** Bytes that came out. */
  get bytesOut(): number {
    return this.#bytesOut;
  }

  /** Calls back once, when all that was given has been taken up by the decoder. */
  onDrain(listener: () => void): void {
    this.#stages?.[0]?.once('drain', listener);
  }

  /** Takes the next bytes of the body; they are copied. Never throws: what is wrong with them is told to the sink. */
  push(bytes: Uint8Array): void {
    if (this.#isOver || bytes.length === 0) return;
    const stages = (this.#stages ??= this.#open(bytes));
    const [first] = stages;
    if (first === undefined) return;
    this.#bytesIn += bytes.length;
    if (first.writableLength + bytes.length > this.#maxPendingBytes) {
      this.#fail('too_slow', this.#codings[0] ?? '');
      return;
    }
    first.write(Buffer.from(bytes));
  }

  /** The body is complete. */
  end(): void {
    if (this.#isOver) return;
    const [first] = this.#stages ?? [];
    if (first === undefined) this.#finish();
    else first.end();
  }

  /** Gives the body up; the sink hears nothing more. */
  destroy(): void {
    this.#isOver = true;
    for (const stage of this.#stages ?? []) stage.destroy();
  }

  #open(bytes: Uint8Array): Transform[] {
    if (this.#codings.length === 0 || this.#codings.length > MAX_CODINGS) {
      this.#fail('unknown_coding', this.#codings.toReversed().join(', '));
      return [];
    }
    const stages: Transform[] = [];
    for (const [index, coding] of this.#codings.entries()) {
      const stage = stageOf(coding, index === 0 ? bytes : undefined);
      if (stage === undefined) {
        this.#fail('unknown_coding', coding);
        return [];
      }
      stage.on('error', () => this.#fail('invalid_coding', coding));
      stages.at(-1)?.pipe(stage);
      stages.push(stage);
    }
    const last = stages.at(-1);
    last?.on('data', (chunk: Buffer) => this.#out(chunk));
    last?.on('end', () => this.#finish());
    return stages;
  }

  #out(chunk: Buffer): void {
    if (this.#isOver) return;
    this.#bytesOut += chunk.length;
    if (this.#bytesOut > this.#graceBytes && this.#bytesOut > this.#bytesIn * this.#maxRatio) {
      this.#fail('ratio_exceeded', this.#codings.at(-1) ?? '');
      return;
    }
    this.#sink.decoded(chunk);
  }

  #finish(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#sink.ended();
  }

  #fail(code: ContentDecoderErrorCode, coding: string): void {
    if (this.#isOver) return;
    this.destroy();
    this.#sink.failed(code, coding);
  }
}

function stageOf(coding: string, beginning: Uint8Array | undefined): Transform | undefined {
  switch (coding) {
    case 'gzip':
    case 'x-gzip':
      return createGunzip();
    case 'deflate':
      return beginning === undefined || isZlibForm(beginning) ? createInflate() : createInflateRaw();
    case 'br':
      return createBrotliDecompress();
    case 'zstd':
      return new ZstdFrames();
    default:
      return undefined;
  }
}
