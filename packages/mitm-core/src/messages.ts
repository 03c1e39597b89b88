// What handlers are shown: requests, responses and stream chunks as plain facts, with hop-by-hop fields left out.
import { type FrameFacts, type FrameKind, HeaderMap, isHopByHop, type StageReport } from 'mitm-http';
import type { ConnectionId, FlowId } from 'mitm-observe';

import type { ConnectionMeta } from './connection.ts';

/** Which way bytes travel. */
export const directions = ['client_to_server', 'server_to_client'] as const;
export type Direction = (typeof directions)[number];

/** How a body became what is shown. */
export interface BodyDecoding {
  /** One for each step that there was: `content_decode` for content codings, `payload_parse` for the guard of JSON. */
  readonly stages: readonly StageReport[];
  /** What the steps found: `sanitized`, and where that is `true` `sanitized_prefix` and `sanitized_provenance`. */
  readonly attributes: Readonly<Record<string, string>>;
}

/** A request as a handler sees it. Nothing here is taken from fields that a peer could forge. */
export interface RawRequest {
  readonly method: string;
  readonly scheme: string;
  /** `host` or `host:port` as the request names it, without a default port. */
  readonly authority: string;
  /** Path and query; `*` for an OPTIONS of the whole server. */
  readonly path: string;
  /** `HTTP/1.0`, `HTTP/1.1` or `HTTP/2`. */
  readonly httpVersion: string;
  /** Names as received; hop-by-hop fields left out. */
  readonly headers: HeaderMap;
  /** Content-decoded, unless `encodingError`. Empty when bodies are not buffered. */
  readonly body: Uint8Array;
  /** The body goes on beyond what is shown here. */
  readonly bodyTruncated: boolean;
  /** The body could not be decoded and is shown as received. */
  readonly encodingError: boolean;
  /** Missing where there was nothing to decode. */
  readonly decoding?: BodyDecoding | undefined;
  readonly flowId: FlowId;
  readonly connectionMeta: ConnectionMeta;
  /** Whose credentials the client gave to the proxy; absent where it has no users. */
  readonly user?: string;
}

/** A final response as a handler sees it. */
export interface RawResponse {
  readonly status: number;
  readonly headers: HeaderMap;
  readonly body: Uint8Array;
  readonly bodyTruncated: boolean;
  readonly encodingError: boolean;
  /** Missing where there was nothing to decode. */
  readonly decoding?: BodyDecoding | undefined;
  /** True when the body is delivered as chunks; `body` is empty then. */
  readonly streaming: boolean;
  readonly flowId: FlowId;
  readonly connectionMeta: ConnectionMeta;
}

/** One frame of a stream. */
export interface StreamChunk {
  readonly connectionId: ConnectionId;
  readonly flowId: FlowId;
  readonly direction: Direction;
  /** From 0 per flow, both directions counted together; a gap means that chunks were dropped. */
  readonly sequence: number;
  readonly frameKind: FrameKind;
  readonly payload: Uint8Array;
  /** What is known of the frame besides: the name and id of an SSE event, whether a gRPC message is compressed, … */
  readonly facts: FrameFacts;
}

const namesNothing: ReadonlySet<string> = new Set(['', 'keep-alive', 'close']);

/**
 * The fields of a message without those that concern one hop only.
 *
 * @param connection the message's Connection value, lower-case and comma-joined: the fields it names go too
 *   (RFC 9110 §7.6.1).
 */
export function endToEndHeaders(headers: HeaderMap, connection: string): HeaderMap {
  // Most messages name nothing that would not be left out anyway.
  if (namesNothing.has(connection)) return headers.without(isHopByHop);
  const nominated = new Set(connection.split(',').map((name) => name.trim()));
  return headers.without((name) => isHopByHop(name) || nominated.has(name));
}
