// Frames as a test reads them, one line of text each; and a session of the engine whose peer is the test, without a transport.
import { h2CodeName, type H2Session } from 'mitm-http';

import {
  ack,
  decodeFields,
  endHeaders,
  endStream,
  type Frame,
  FrameCutter,
  frameTypes,
  preface,
  settingsFrame,
} from '../../../testing/lab/h2-frames.ts';

const names: readonly string[] = [
  'DATA',
  'HEADERS',
  'PRIORITY',
  'RST_STREAM',
  'SETTINGS',
  'PUSH_PROMISE',
  'PING',
  'GOAWAY',
  'WINDOW_UPDATE',
  'CONTINUATION',
];

/** Payloads up to this length are shown, of longer ones only the length is. */
const shownBytes = 40;

/** A frame on one line: its name, its stream unless that is the connection, what it says, and END where it ends its stream. */
export function frameText(frame: Frame): string {
  const { type, streamId } = frame;
  const name = names[type] ?? `TYPE_${type}`;
  const words = [name, streamId === 0 ? '' : String(streamId), contentOf(frame)];
  if (type <= frameTypes.headers && (frame.flags & endStream) !== 0) words.push('END');
  return words.filter((word) => word !== '').join(' ');
}

function contentOf({ type, flags, payload }: Frame): string {
  switch (type) {
    case frameTypes.data:
      return payload.length > shownBytes ? `(${payload.length})` : payload.toString('latin1');
    case frameTypes.headers:
      return (flags & endHeaders) === 0 ? `(${payload.length})` : decodeFields(payload).join(' ');
    case frameTypes.rstStream:
      return h2CodeName(payload.readUInt32BE(0));
    case frameTypes.goaway:
      return `${payload.readUInt32BE(0)} ${h2CodeName(payload.readUInt32BE(4))}`;
    case frameTypes.windowUpdate:
      return `+${payload.readUInt32BE(0)}`;
    case frameTypes.settings:
    case frameTypes.ping:
      return (flags & ack) === 0 ? '' : 'ACK';
    default:
      return `(${payload.length})`;
  }
}

/** The peer of a session: what it says goes in at once, and what the session says is read as text. */
export class FramePeer {
  readonly #session: H2Session;
  readonly #cutter: FrameCutter;
  #restOfPreface: number;
  #nowMs: number;

  /** Settles the connection: both settings have been exchanged, and nothing of that is seen later. */
  constructor(
    session: H2Session,
    role: 'client' | 'server',
    settings: Parameters<typeof settingsFrame>[0] = {},
  ) {
    this.#session = session;
    this.#cutter = new FrameCutter();
    this.#restOfPreface = role === 'server' ? preface.length : 0;
    this.#nowMs = 0;
    session.start(0);
    this.says(
      role === 'client' ? preface : Buffer.alloc(0),
      settingsFrame({ headerTableSize: 0, ...settings }),
    );
    this.seen();
  }

  /** Sends bytes, all of which arrive together. */
  says(...frames: readonly Uint8Array[]): void {
    this.#nowMs += 1;
    this.#session.receive(Buffer.concat(frames), this.#nowMs);
  }

  /** The frames that the session sent since the last call. */
  frames(): Frame[] {
    const frames: Frame[] = [];
    for (;;) {
      const output = this.#session.takeOutput();
      if (output === undefined) return frames;
      const skipped = Math.min(this.#restOfPreface, output.length);
      this.#restOfPreface -= skipped;
      frames.push(...this.#cutter.push(Buffer.from(output.subarray(skipped))));
    }
  }

  /** As {@link frames}, as text. */
  seen(): string[] {
    return this.frames().map(frameText);
  }
}
