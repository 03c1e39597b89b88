// SETTINGS both ways: what we announce as bytes, and what the peer announced as checked numbers (RFC 9113 §6.5).

import { h2Code } from './error-codes.ts';
import type { FrameFault } from './frames.ts';
import { maxInt31, readUint32, writeUint32 } from './frames.ts';

/** Identifiers of settings (RFC 9113 §6.5.2, RFC 8441 §3, RFC 9218 §2.1). */
const settingId = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
  enableConnectProtocol: 8,
  noRfc7540Priorities: 9,
} as const;

/** Streams that we open at once before the peer's SETTINGS say otherwise; there is no limit until then, but a good guess (§6.5.2). */
export const assumedMaxStreams = 100;

/** What the peer announced, or what counts until it does. */
export class PeerSettings {
  headerTableBytes = 4096;
  /** The smallest of the table sizes in the last SETTINGS frame: the encoder has to pass through it (RFC 7541 §4.2). */
  lowestHeaderTableBytes = 4096;
  maxConcurrentStreams = assumedMaxStreams;
  initialWindowBytes = 65_535;
  maxHeaderListBytes = Number.POSITIVE_INFINITY;
  isConnectProtocolEnabled = false;
  /** Whether a first SETTINGS frame has come. */
  isKnown = false;
  readonly #isServer: boolean;

  /** @param isServer whether the peer is the server: it must not announce push. */
  constructor(isServer: boolean) {
    this.#isServer = isServer;
  }

  /** Takes the payload of one SETTINGS frame in order; unknown settings are skipped. Returns the broken rule, if any. */
  apply(bytes: Buffer, start: number, end: number): FrameFault | undefined {
    if (!this.isKnown) {
      this.isKnown = true;
      this.maxConcurrentStreams = Number.POSITIVE_INFINITY;
    }
    this.lowestHeaderTableBytes = this.headerTableBytes;
    for (let at = start; at + 6 <= end; at += 6) {
      const id = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
      const value = readUint32(bytes, at + 2);
      const fault = this.#set(id, value);
      if (fault !== undefined) return fault;
    }
    return undefined;
  }

  #set(id: number, value: number): FrameFault | undefined {
    switch (id) {
      case settingId.headerTableSize:
        this.headerTableBytes = value;
        this.lowestHeaderTableBytes = Math.min(this.lowestHeaderTableBytes, value);
        return undefined;
      case settingId.enablePush:
        return value > (this.#isServer ? 0 : 1) ? outOfRange('ENABLE_PUSH', value) : undefined;
      case settingId.maxConcurrentStreams:
        this.maxConcurrentStreams = value;
        return undefined;
      case settingId.initialWindowSize:
        if (value > maxInt31) {
          return { code: h2Code.flowControlError, message: `INITIAL_WINDOW_SIZE ${value} is above 2^31 - 1` };
        }
        this.initialWindowBytes = value;
        return undefined;
      case settingId.maxFrameSize:
        return value < 16_384 || value > 16_777_215 ? outOfRange('MAX_FRAME_SIZE', value) : undefined;
      case settingId.maxHeaderListSize:
        this.maxHeaderListBytes = value;
        return undefined;
      case settingId.enableConnectProtocol:
        // Once on it cannot be taken back (RFC 8441 §3).
        if (value > 1 || (value === 0 && this.isConnectProtocolEnabled)) {
          return outOfRange('ENABLE_CONNECT_PROTOCOL', value);
        }
        this.isConnectProtocolEnabled = value === 1;
        return undefined;
      case settingId.noRfc7540Priorities:
        return value > 1 ? outOfRange('NO_RFC7540_PRIORITIES', value) : undefined;
      default:
        return undefined;
    }
  }
}

function outOfRange(name: string, value: number): FrameFault {
  return { code: h2Code.protocolError, message: `SETTINGS_${name} must not be ${value}` };
}

/** Settings that we announce. */
export interface AnnouncedSettings {
  readonly role: 'client' | 'server';
  readonly maxConcurrentStreams: number;
  readonly initialWindowBytes: number;
  readonly maxHeaderListBytes: number;
  readonly enableConnectProtocol: boolean;
}

/** Bytes that {@link writeSettings} needs at most. */
export const maxSettingsBytes = 6 * 5;

/** Writes the payload of our SETTINGS frame, without what is the default anyway; returns the offset behind it. */
export function writeSettings(settings: AnnouncedSettings, out: Buffer, start: number): number {
  let at = start;
  if (settings.role === 'client') at = writeSetting(out, at, settingId.enablePush, 0);
  else at = writeSetting(out, at, settingId.maxConcurrentStreams, settings.maxConcurrentStreams);
  if (settings.initialWindowBytes !== 65_535) {
    at = writeSetting(out, at, settingId.initialWindowSize, settings.initialWindowBytes);
  }
  at = writeSetting(out, at, settingId.maxHeaderListSize, settings.maxHeaderListBytes);
  if (settings.role === 'server' && settings.enableConnectProtocol) {
    at = writeSetting(out, at, settingId.enableConnectProtocol, 1);
  }
  return at;
}

function writeSetting(out: Buffer, at: number, id: number, value: number): number {
  out[at] = 0;
  out[at + 1] = id;
  writeUint32(out, at + 2, value);
  return at + 6;
}
