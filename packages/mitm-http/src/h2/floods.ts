// What a peer may do without doing anything useful: plain counts per span of time, each with its limit and its name.
// Nothing here knows frames or streams; it counts and says when it is too much (RFC 9113 §10.5).

import type { FloodReason } from './error-codes.ts';

/** Limits of a session. Those "per span" are for `spanMs` and start again with the next span. */
export interface FloodLimits {
  /** Length of a span in ms. */
  readonly spanMs: number;
  /** Server: streams per span that ended by the peer's RST_STREAM before our answer did, or by ours because of the peer's fault, beyond those that completed. */
  readonly maxResets: number;
  /** Server: streams per span refused because too many were open. */
  readonly maxRefusedStreams: number;
  /** CONTINUATION frames of one header block. */
  readonly maxContinuationFrames: number;
  /** SETTINGS frames per span, with and without ACK. */
  readonly maxSettingsFrames: number;
  /** PING frames per span that we have to answer, beyond the DATA frames that went either way. */
  readonly maxPings: number;
  /** DATA frames per span without payload that do not end a stream. */
  readonly maxEmptyDataFrames: number;
  /** WINDOW_UPDATE frames per span, beyond ten for each DATA frame that we sent. */
  readonly maxWindowUpdates: number;
  /** Frames per span that have no effect: PRIORITY, unknown types, and those on streams that are over. */
  readonly maxIgnoredFrames: number;
  /** Answers that we owe (ACK and RST_STREAM) while nobody takes the output. */
  readonly maxQueuedControlFrames: number;
  /** For how long, in ms, a peer may leave no window at all for data that waits. */
  readonly zeroWindowMs: number;
}

/** Loose enough for browsers, gRPC and load generators, far below what hurts. */
export const defaultFloodLimits: FloodLimits = {
  spanMs: 10_000,
  maxResets: 200,
  maxRefusedStreams: 200,
  maxContinuationFrames: 32,
  maxSettingsFrames: 100,
  maxPings: 2000,
  maxEmptyDataFrames: 200,
  maxWindowUpdates: 2000,
  maxIgnoredFrames: 5000,
  maxQueuedControlFrames: 1000,
  zeroWindowMs: 300_000,
};

/** Counts for one session. Each method counts one event and returns the flood that it is, if any. */
export class FloodGuard {
  readonly limits: FloodLimits;
  /** Non-empty DATA frames of the peer in this span. */
  dataFramesReceived = 0;
  /** DATA frames of ours in this span. */
  dataFramesSent = 0;
  /** Streams that came to a clean end in this span. */
  completedStreams = 0;
  #spanStartMs = Number.NEGATIVE_INFINITY;
  #resets = 0;
  #refused = 0;
  #settings = 0;
  #pings = 0;
  #emptyData = 0;
  #windowUpdates = 0;
  #ignored = 0;

  constructor(limits: FloodLimits) {
    this.limits = limits;
  }

  /** Starts a new span when the last one is over. */
  roll(nowMs: number): void {
    if (nowMs - this.#spanStartMs < this.limits.spanMs) return;
    this.#spanStartMs = nowMs;
    this.dataFramesReceived = 0;
    this.dataFramesSent = 0;
    this.completedStreams = 0;
    this.#resets = 0;
    this.#refused = 0;
    this.#settings = 0;
    this.#pings = 0;
    this.#emptyData = 0;
    this.#windowUpdates = 0;
    this.#ignored = 0;
  }

  /** A stream was reset by the peer or because of it. */
  countReset(): FloodReason | undefined {
    return ++this.#resets > this.limits.maxResets + this.completedStreams ? 'rapid_reset' : undefined;
  }

  /** A stream was refused. */
  countRefused(): FloodReason | undefined {
    return ++this.#refused > this.limits.maxRefusedStreams ? 'too_many_streams' : undefined;
  }

  /** A SETTINGS frame came. */
  countSettings(): FloodReason | undefined {
    return ++this.#settings > this.limits.maxSettingsFrames ? 'settings_flood' : undefined;
  }

  /** A PING came that is to be answered. A gRPC peer sends one per round trip while data flows. */
  countPing(): FloodReason | undefined {
    const allowed = this.limits.maxPings + this.dataFramesReceived + this.dataFramesSent;
    return ++this.#pings > allowed ? 'ping_flood' : undefined;
  }

  /** An empty DATA frame came that ends nothing. */
  countEmptyData(): FloodReason | undefined {
    return ++this.#emptyData > this.limits.maxEmptyDataFrames ? 'empty_data_flood' : undefined;
  }

  /** A WINDOW_UPDATE came. */
  countWindowUpdate(): FloodReason | undefined {
    const allowed = this.limits.maxWindowUpdates + 10 * this.dataFramesSent;
    return ++this.#windowUpdates > allowed ? 'window_update_flood' : undefined;
  }

  /** A frame came that does nothing. */
  countIgnored(): FloodReason | undefined {
    return ++this.#ignored > this.limits.maxIgnoredFrames ? 'ignored_frame_flood' : undefined;
  }
}
