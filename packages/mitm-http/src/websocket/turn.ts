// Turns: frames grouped until the side that began speaks again after the other one answered. Time is passed in and nothing waits
// here, so the same frames at the same times are always the same turns.
import type { WebSocketDirection } from './opcode.ts';

/** What completes a turn. */
export const turnFlushReasons = ['rollover', 'idle_timeout', 'close_frame', 'eof', 'error'] as const;
/** See {@link turnFlushReasons}. */
export type TurnFlushReason = (typeof turnFlushReasons)[number];

/** A frame as far as turns care. */
export interface TurnFrame {
  readonly direction: WebSocketDirection;
  /** From 1, shared by both directions. */
  readonly sequenceNo: number;
  readonly isControl: boolean;
  readonly isClose: boolean;
  /** Length of the payload on the wire. */
  readonly payloadBytes: number;
  /** When it was relayed, in milliseconds since 1970. */
  readonly atMs: number;
}

/** What is known when a turn begins. */
export interface TurnStart {
  /** From 1. */
  readonly turnId: number;
  readonly initiatedBy: WebSocketDirection;
  readonly firstFrameSequenceNo: number;
  readonly startedAtUnixMs: number;
}

/** What is known when it is complete. */
export interface TurnSummary extends TurnStart {
  /** Of its last frame, as are the time and the number. */
  readonly endedAtUnixMs: number;
  readonly lastFrameSequenceNo: number;
  readonly clientFrameCount: number;
  readonly serverFrameCount: number;
  readonly clientPayloadBytes: number;
  readonly serverPayloadBytes: number;
  readonly flushReason: TurnFlushReason;
}

/** Who is told of turns: each one that started is completed, before the next starts. */
export interface TurnSink {
  turnStarted(turn: TurnStart): void;
  turnCompleted(turn: TurnSummary): void;
}

/** Silence that completes a turn, in milliseconds, unless another is given. */
export const turnIdleMs = 750;

interface OpenTurn {
  readonly start: TurnStart;
  isAnswered: boolean;
  lastSequenceNo: number;
  lastAtMs: number;
  clientFrameCount: number;
  serverFrameCount: number;
  clientPayloadBytes: number;
  serverPayloadBytes: number;
}

/** Follows the frames of both directions of one connection. */
export class TurnTracker {
  readonly #sink: TurnSink;
  readonly #idleMs: number;
  #turn: OpenTurn | undefined;
  #turnCount: number;
  #hasCloseFrame: boolean;
  #isFinished: boolean;

  /** @param idleMs silence that completes a turn, in milliseconds; 0 for never. */
  constructor(sink: TurnSink, idleMs: number = turnIdleMs) {
    this.#sink = sink;
    this.#idleMs = idleMs > 0 ? idleMs : Number.POSITIVE_INFINITY;
    this.#turn = undefined;
    this.#turnCount = 0;
    this.#hasCloseFrame = false;
    this.#isFinished = false;
  }

  /** When to call {@link expire} if no frame comes before, in milliseconds since 1970; `undefined` while nothing waits. */
  get idleAtMs(): number | undefined {
    if (this.#turn === undefined || this.#idleMs === Number.POSITIVE_INFINITY) return undefined;
    return this.#turn.lastAtMs + this.#idleMs;
  }

  /** Counts a frame. One that comes after the silence, before a timer could tell of it, begins a new turn all the same. */
  frame(frame: TurnFrame): void {
    if (this.#hasCloseFrame || this.#isFinished) return;
    this.expire(frame.atMs);
    const open = this.#turn;
    const isInitiator = open?.start.initiatedBy === frame.direction;
    if (open?.isAnswered === true && isInitiator && !frame.isControl) this.#complete(open, 'rollover');
    const turn = this.#turn ?? this.#open(frame);
    if (!frame.isControl && turn.start.initiatedBy !== frame.direction) turn.isAnswered = true;
    count(turn, frame);
    if (!frame.isClose) return;
    this.#hasCloseFrame = true;
    this.#complete(turn, 'close_frame');
  }

  /** Completes the turn whose silence has lasted long enough at that time. */
  expire(nowMs: number): void {
    const turn = this.#turn;
    if (turn !== undefined && nowMs - turn.lastAtMs >= this.#idleMs) this.#complete(turn, 'idle_timeout');
  }

  /**
   * Both directions ended: completes the last turn. Frames and calls after it change nothing.
   * @param isFailed whether either of them failed.
   * @returns how the connection ended: `error` if a direction failed, else `close_frame` if there was one, else `eof`.
   */
  finish(isFailed: boolean): 'close_frame' | 'eof' | 'error' {
    const reason = isFailed ? 'error' : this.#hasCloseFrame ? 'close_frame' : 'eof';
    this.#isFinished = true;
    if (this.#turn !== undefined) this.#complete(this.#turn, reason);
    return reason;
  }

  #open(frame: TurnFrame): OpenTurn {
    const start: TurnStart = {
      turnId: ++this.#turnCount,
      initiatedBy: frame.direction,
      firstFrameSequenceNo: frame.sequenceNo,
      startedAtUnixMs: frame.atMs,
    };
    const turn: OpenTurn = {
      start,
      isAnswered: false,
      lastSequenceNo: frame.sequenceNo,
      lastAtMs: frame.atMs,
      clientFrameCount: 0,
      serverFrameCount: 0,
      clientPayloadBytes: 0,
      serverPayloadBytes: 0,
    };
    this.#turn = turn;
    this.#sink.turnStarted(start);
    return turn;
  }

  #complete(turn: OpenTurn, flushReason: TurnFlushReason): void {
    this.#turn = undefined;
    this.#sink.turnCompleted({
      ...turn.start,
      endedAtUnixMs: turn.lastAtMs,
      lastFrameSequenceNo: turn.lastSequenceNo,
      clientFrameCount: turn.clientFrameCount,
      serverFrameCount: turn.serverFrameCount,
      clientPayloadBytes: turn.clientPayloadBytes,
      serverPayloadBytes: turn.serverPayloadBytes,
      flushReason,
    });
  }
}

function count(turn: OpenTurn, frame: TurnFrame): void {
  turn.lastSequenceNo = frame.sequenceNo;
  // A clock that was set back must not let a turn end before it began.
  turn.lastAtMs = Math.max(turn.lastAtMs, frame.atMs);
  if (frame.direction === 'client_to_server') {
    turn.clientFrameCount++;
    turn.clientPayloadBytes += frame.payloadBytes;
  } else {
    turn.serverFrameCount++;
    turn.serverPayloadBytes += frame.payloadBytes;
  }
}
