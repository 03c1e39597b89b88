// Watches one body on its way: decodes its codings, cuts it into frames, and hands these on. It works on what has already been
// relayed, so that whatever is wrong with it ends the watching and nothing else.
import {
  codingsOf,
  ContentDecoder,
  type DecoderStage,
  type ContentDecoderErrorCode,
  type ContentSink,
  type EmitFrame,
  FrameError,
  type FrameFacts,
  type FrameParser,
} from 'mitm-http';

import type { Flow } from './flow.ts';
import type { Direction } from './messages.ts';

/** What it watches, and who gets the frames. */
export interface BodyObserverInit {
  readonly direction: Direction;
  readonly parser: FrameParser;
  /** The message's Content-Encoding, several fields joined by commas. */
  readonly contentEncoding: string;
  /** Takes a frame; its payload is valid during the call. */
  readonly emit: EmitFrame;
}

interface ObserverFailure {
  readonly decoder: string;
  readonly code: string;
  readonly detail?: string;
  readonly stage: DecoderStage;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** Compressed bytes that wait for their decoder beyond which traffic should wait too, where it may. */
const BEHIND_BYTES = 1_048_576;
/** How many times `body.maxDecoderBytes` may wait where it may not. */
const PENDING_FACTOR = 4;

export class BodyObserver implements ContentSink {
  readonly #flow: Flow;
  readonly #direction: Direction;
  readonly #parser: FrameParser;
  readonly #init: BodyObserverInit;
  readonly #emit: EmitFrame;
  readonly #decoder: ContentDecoder | undefined;
  /** What the parser was given, and what it made of it. */
  #framedBytes: number;
  #emittedBytes: number;
  #hasIssue: boolean;
  #isOver: boolean;
  #settle: (() => void) | undefined;

  constructor(flow: Flow, init: BodyObserverInit) {
    this.#flow = flow;
    this.#direction = init.direction;
    this.#parser = init.parser;
    this.#init = init;
    this.#emit = (payload, facts) => this.#frame(payload, facts);
    this.#framedBytes = 0;
    this.#emittedBytes = 0;
    this.#hasIssue = false;
    this.#isOver = false;
    this.#settle = undefined;
    this.#decoder =
      codingsOf(init.contentEncoding).length === 0
        ? undefined
        : new ContentDecoder(init.contentEncoding, this, {
            maxPendingBytes: PENDING_FACTOR * flow.config.body.maxDecoderBytes,
          });
  }

  /** Takes the next bytes of the body as relayed. */
  push(piece: Buffer): void {
    if (this.#isOver) return;
    if (this.#decoder === undefined) this.decoded(piece);
    else this.#decoder.push(piece);
  }

  /** The decoder is slower than the traffic. */
  get isBehind(): boolean {
    return !this.#isOver && this.#decoder !== undefined && this.#decoder.pendingBytes > BEHIND_BYTES;
  }

  /** Calls back once, when the decoder has caught up. */
  onCaughtUp(listener: () => void): void {
    this.#decoder?.onDrain(listener);
  }

  /** The body is complete. Resolves, where that takes time, when its last frame has been handed on. */
  end(): Promise<void> | undefined {
    if (this.#isOver) return undefined;
    if (this.#decoder === undefined) {
      this.ended();
      return undefined;
    }
    const done = new Promise<void>((resolve) => {
      this.#settle = resolve;
    });
    this.#decoder.end();
    return done;
  }

  /** The body will not be complete: what is held back goes unseen. */
  cancel(): void {
    this.#isOver = true;
    this.#decoder?.destroy();
    this.#settle?.();
  }

  decoded(bytes: Buffer): void {
    if (this.#isOver) return;
    this.#framedBytes += bytes.length;
    try {
      this.#parser.push(bytes, this.#emit);
    } catch (error) {
      this.#frameFailed(error);
    }
  }

  ended(): void {
    if (this.#isOver) return;
    try {
      this.#parser.end(this.#emit);
    } catch (error) {
      this.#frameFailed(error);
    }
    this.#over();
  }

  failed(code: ContentDecoderErrorCode, coding: string): void {
    const { bytesIn, bytesOut } = this.#decoder ?? { bytesIn: 0, bytesOut: 0 };
    this.#report({ decoder: coding, code, stage: 'content_decode', bytesIn, bytesOut });
    this.#over();
  }

  #frame(payload: Uint8Array, facts: FrameFacts): void {
    this.#emittedBytes += payload.length;
    this.#init.emit(payload, facts);
    if (facts.kind !== 'grpc_message' || facts.issue === undefined || this.#hasIssue) return;
    // The messages behind it can be read all the same; that there is one is told once.
    this.#hasIssue = true;
    const { wireBytes = 0 } = facts;
    const { kind } = this.#parser;
    this.#report({
      decoder: kind,
      code: facts.issue,
      stage: 'payload_parse',
      bytesIn: wireBytes,
      bytesOut: 0,
    });
  }

  #frameFailed(error: unknown): void {
    const { kind } = this.#parser;
    const stages = this.#flow.engine.decoders.stagesOf(kind) ?? [];
    const at = {
      decoder: kind,
      stage: stages.find((stage) => stage === 'envelope_parse') ?? 'protocol_frame_parse',
      bytesIn: this.#framedBytes,
      bytesOut: this.#emittedBytes,
    } as const;
    if (error instanceof FrameError) this.#report({ ...at, code: error.code, detail: error.message });
    else {
      // A framer of the user's own may throw anything.
      this.#flow.engine.logger.warn({ err: error, flowId: this.#flow.id }, 'framer failed');
      this.#report({ ...at, code: 'framer_failed' });
    }
    this.#over();
    this.#decoder?.destroy();
  }

  #report(failure: ObserverFailure): void {
    this.#flow.note('decoder_failed', {
      decoder: failure.decoder,
      decoderErrorCode: failure.code,
      decoderErrorDetail: failure.detail,
      decoderStage: failure.stage,
      bytesIn: failure.bytesIn,
      bytesOut: failure.bytesOut,
      direction: this.#direction,
      http2StreamId: this.#flow.http2StreamId,
    });
  }

  #over(): void {
    this.#isOver = true;
    this.#settle?.();
  }
}
