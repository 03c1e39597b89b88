// A session under test: what it is told comes from the test as frames, what it tells its owner is kept as lines.
import type { H2SessionError } from '../../src/h2/error-codes.ts';
import { h2CodeName } from '../../src/h2/error-codes.ts';
import { defaultFloodLimits } from '../../src/h2/floods.ts';
import type { FloodLimits } from '../../src/h2/floods.ts';
import type { H2RequestHead } from '../../src/h2/request-head.ts';
import type { SessionListener, SessionOptions, StreamListener } from '../../src/h2/session-types.ts';
import { H2Session } from '../../src/h2/session.ts';
import type { H2Stream } from '../../src/h2/stream.ts';
import { FrameLog, preface, settings, settingsAck } from './wire-frames.ts';

export const ok = [':status', '200'] as const;

export function optionsOf(
  role: 'client' | 'server',
  changes: Partial<Omit<SessionOptions, 'limits'>> & { readonly limits?: Partial<FloodLimits> } = {},
): SessionOptions {
  return {
    role,
    maxConcurrentStreams: 128,
    initialWindowBytes: 262_144,
    maxWindowBytes: 4_194_304,
    connectionWindowBytes: 16_777_216,
    maxHeaderListBytes: 65_536,
    enableConnectProtocol: false,
    settingsTimeoutMs: 10_000,
    ...changes,
    limits: { ...defaultFloodLimits, ...changes.limits },
  };
}

/** Writes down every call for one stream. */
export class StreamRecorder implements StreamListener {
  readonly calls: string[];
  /** Payload so far. */
  readonly pieces: Buffer[] = [];
  stream: H2Stream | undefined = undefined;
  /** Runs on each `writable`. */
  onWritable: () => void = () => undefined;
  /** Runs on each piece of payload. */
  onData: (stream: H2Stream, bytes: number) => void = () => undefined;

  constructor(calls: string[]) {
    this.calls = calls;
  }

  #note(text: string): void {
    this.calls.push(`${this.stream?.id ?? '?'} ${text}`);
  }

  informational(head: { readonly status: number }): void {
    this.#note(`informational ${head.status}`);
  }

  response(head: { readonly status: number }, isEnded: boolean): void {
    this.#note(`response ${head.status}${isEnded ? ' end' : ''}`);
  }

  responseTooLarge(): void {
    this.#note('responseTooLarge');
  }

  data(view: Buffer, isEnded: boolean): void {
    this.pieces.push(Buffer.from(view));
    const text = view.length > 40 ? String(view.length) : view.toString('latin1');
    this.#note(`data ${text}${isEnded ? ' end' : ''}`);
    if (this.stream !== undefined) this.onData(this.stream, view.length);
  }

  trailers(fields: readonly string[]): void {
    this.#note(`trailers ${fields.join(' ')}`);
  }

  reset(code: number, by: string, isUnprocessed: boolean): void {
    this.#note(`reset ${h2CodeName(code)} by ${by}${isUnprocessed ? ' unprocessed' : ''}`);
  }

  writable(): void {
    this.#note('writable');
    this.onWritable();
  }

  get payload(): Buffer {
    return Buffer.concat(this.pieces);
  }
}

/** One session with everything it says. */
export class SessionCase implements SessionListener {
  readonly session: H2Session;
  /** Calls of all listeners in order. */
  readonly calls: string[] = [];
  readonly streams: H2Stream[] = [];
  readonly recorders: StreamRecorder[] = [];
  readonly #log = new FrameLog();
  failure: H2SessionError | undefined = undefined;
  readyCount = 0;
  /** Runs for each request. */
  onRequest: (stream: H2Stream, head: H2RequestHead, isEnded: boolean) => void = () => undefined;

  constructor(options: SessionOptions) {
    this.session = new H2Session(options, this);
    this.session.start(0);
  }

  request(stream: H2Stream, head: H2RequestHead, isEnded: boolean): void {
    this.calls.push(`${stream.id} request ${head.method} ${head.path}${isEnded ? ' end' : ''}`);
    this.#adopt(stream);
    this.onRequest(stream, head, isEnded);
  }

  headTooLarge(stream: H2Stream, isEnded: boolean): void {
    this.calls.push(`${stream.id} headTooLarge${isEnded ? ' end' : ''}`);
    this.#adopt(stream);
  }

  settings(): void {
    this.calls.push('settings');
  }

  goaway(lastStreamId: number, code: number, debug: string): void {
    this.calls.push(`goaway ${lastStreamId} ${h2CodeName(code)} ${debug}`.trim());
  }

  failed(error: H2SessionError): void {
    this.failure = error;
    this.calls.push(`failed ${error.reason}`);
  }

  outputReady(): void {
    this.readyCount++;
  }

  #adopt(stream: H2Stream): void {
    const recorder = new StreamRecorder(this.calls);
    recorder.stream = stream;
    stream.listener = recorder;
    this.streams.push(stream);
    this.recorders.push(recorder);
  }

  /** Client: opens a stream and sends its head. */
  open(fields: readonly string[], isEnded = true): H2Stream {
    const recorder = new StreamRecorder(this.calls);
    const stream = this.session.openStream(recorder);
    recorder.stream = stream;
    this.streams.push(stream);
    this.recorders.push(recorder);
    stream.sendHead(fields, isEnded);
    return stream;
  }

  /** The stream at that place, in the order of opening. */
  stream(index = 0): H2Stream {
    const stream = this.streams[index];
    if (stream === undefined) throw new RangeError(`no stream was opened at place ${index}`);
    return stream;
  }

  recorder(index = 0): StreamRecorder {
    const recorder = this.recorders[index];
    if (recorder === undefined) throw new RangeError(`no stream was opened at place ${index}`);
    return recorder;
  }

  feed(...frames: readonly Buffer[]): this {
    this.session.receive(Buffer.concat(frames), 0);
    return this;
  }

  /** Frames since the last call, as lines. */
  sent(): string[] {
    const bytes = this.session.takeOutput();
    const lines = bytes === undefined ? [] : this.#log.read(bytes);
    this.session.releaseOutput();
    return lines;
  }

  /** Listener calls since the last call. */
  told(): string[] {
    return this.calls.splice(0);
  }
}

/** A server whose client has said hello. Nothing of that is left to be read. */
export function server(changes: Parameters<typeof optionsOf>[1] = {}): SessionCase {
  const made = new SessionCase(optionsOf('server', changes));
  made.feed(preface, settings(), settingsAck);
  made.sent();
  made.told();
  return made;
}

/** A client whose server has said hello, with those settings. */
export function client(
  changes: Parameters<typeof optionsOf>[1] = {},
  ...pairs: readonly (readonly [number, number])[]
): SessionCase {
  const made = new SessionCase(optionsOf('client', changes));
  made.feed(settings(...pairs), settingsAck);
  made.sent();
  made.told();
  return made;
}
