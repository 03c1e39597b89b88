// Which parser cuts a body into frames: asked once per message, by its media type. A registry belongs to one proxy; what is
// not in it is not cut.

import { mediaType } from '../content-coding.ts';
import { grpcProtocolOf } from '../grpc.ts';
import type { HeaderMap } from '../header-map.ts';
import { EventStreamParser } from './event-stream.ts';
import type { FrameParser } from './frame.ts';
import { GrpcParser } from './grpc.ts';
import { JsonValueParser } from './json-array.ts';
import { NdjsonParser } from './ndjson.ts';
import { SseParser } from './sse.ts';

/** What a factory may look at. The body it is to cut is what is left when its content coding is undone. */
export interface FramedMessage {
  readonly direction: 'request' | 'response';
  /** The message's own fields. */
  readonly headers: HeaderMap;
  /** Of the request, in either direction: a method that streams may be told by it where the media type says nothing. */
  readonly path: string;
}

/**
 * Makes the parser for one body, whose frames are at most `maxBytes` long; `undefined` leaves the body uncut, and no
 * other factory is asked.
 */
export type FramerFactory = (message: FramedMessage, maxBytes: number) => FrameParser | undefined;

export const sseFramer: FramerFactory = (_message, maxBytes) => new SseParser(maxBytes);
export const ndjsonFramer: FramerFactory = (_message, maxBytes) => new NdjsonParser(maxBytes);
/** All four protocols that `grpcProtocolOf` knows. */
export const grpcFramer: FramerFactory = (message, maxBytes) => {
  const protocol = grpcProtocolOf(message.headers.get('content-type'));
  if (protocol === undefined) return undefined;
  const field = protocol === 'connect_stream' ? 'connect-content-encoding' : 'grpc-encoding';
  return new GrpcParser(maxBytes, protocol, message.headers.get(field));
};
export const eventStreamFramer: FramerFactory = (_message, maxBytes) => new EventStreamParser(maxBytes);
/** Arrays element by element, and values in a row. In no preset: most `application/json` is one value and no stream. */
export const jsonArrayFramer: FramerFactory = (_message, maxBytes) => new JsonValueParser(maxBytes, 'array');
export const jsonSequenceFramer: FramerFactory = (_message, maxBytes) =>
  new JsonValueParser(maxBytes, 'sequence');

/** What a new registry knows, by pattern. */
export const builtInFramers: ReadonlyMap<string, FramerFactory> = new Map([
  ['text/event-stream', sseFramer],
  ['application/x-ndjson', ndjsonFramer],
  ['application/ndjson', ndjsonFramer],
  ['application/jsonl', ndjsonFramer],
  ['application/x-jsonlines', ndjsonFramer],
  ['application/json-lines', ndjsonFramer],
  ['application/stream+json', ndjsonFramer],
  ['application/json-seq', jsonSequenceFramer],
  ['+json-seq', jsonSequenceFramer],
  ['application/vnd.amazon.eventstream', eventStreamFramer],
  ['application/grpc', grpcFramer],
  ['application/grpc+*', grpcFramer],
  ['application/grpc-web', grpcFramer],
  ['application/grpc-web+*', grpcFramer],
  ['application/grpc-web-text', grpcFramer],
  ['application/grpc-web-text+*', grpcFramer],
  ['application/connect+*', grpcFramer],
]);

/**
 * Whether a media type says that the body is a stream: event by event, it may go on for hours and pause for minutes.
 *
 * @param contentType the field's value, parameters included
 */
export function isStreamType(contentType: string | undefined): boolean {
  if (contentType === undefined) return false;
  return builtInFramers.has(mediaType(contentType)) || grpcProtocolOf(contentType) !== undefined;
}

// A token of RFC 9110 §5.6.2, lower-case, without the asterisk that patterns use.
const token = "[!#$%&'+\\-.^_`|~0-9a-z]+";
const patternForm = new RegExp(`^(?:${token}/(?:${token}(?:\\+\\*)?|\\*)|\\+${token})$`);

/** Framers by media type. */
export class FramerRegistry {
  readonly #framers: Map<string, FramerFactory>;

  /** Starts with `framers`, the built-in ones unless given. @throws {RangeError} as `register`. */
  constructor(framers: Iterable<readonly [string, FramerFactory]> = builtInFramers) {
    this.#framers = new Map();
    for (const [pattern, factory] of framers) this.register(pattern, factory);
  }

  /**
   * Sets the factory of a pattern, in place of an earlier one. The most exact pattern that fits a media type wins:
   *
   * 1. `type/subtype`: this one.
   * 2. `type/subtype+*`: this subtype with any suffix, as in `application/grpc+proto`.
   * 3. `+suffix`: every type with this structured suffix, what follows the last `+` (RFC 6838 §4.2.8).
   * 4. `type/*`: every subtype.
   *
   * @param pattern in any case
   * @throws {RangeError} when the pattern is none of these
   */
  register(pattern: string, factory: FramerFactory): void {
    const key = pattern.toLowerCase();
    if (!patternForm.test(key)) {
      const forms = 'write type/subtype, type/subtype+*, +suffix or type/*, without parameters';
      throw new RangeError(`${JSON.stringify(pattern)} is no media type pattern: ${forms}`);
    }
    this.#framers.set(key, factory);
  }

  /** The parser for this message's body; `undefined` when it is not to be cut. Throws what the factory throws. */
  select(message: FramedMessage, maxBytes: number): FrameParser | undefined {
    const contentType = message.headers.get('content-type');
    return contentType === undefined ? undefined : this.#find(mediaType(contentType))?.(message, maxBytes);
  }

  #find(type: string): FramerFactory | undefined {
    const slash = type.indexOf('/');
    if (slash <= 0 || slash === type.length - 1) return undefined;
    const exact = this.#framers.get(type);
    if (exact !== undefined) return exact;
    const firstPlus = type.indexOf('+', slash);
    const bySuffix =
      firstPlus < 0
        ? undefined
        : (this.#framers.get(`${type.slice(0, firstPlus)}+*`) ??
          this.#framers.get(type.slice(type.lastIndexOf('+'))));
    return bySuffix ?? this.#framers.get(`${type.slice(0, slash)}/*`);
  }
}
