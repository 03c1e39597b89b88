// What a session wants to know and whom it tells: options and the two listeners. Listener calls happen inside receive(),
// setCongested(), takeOutput() and end(); a listener may call anything of its stream and session but receive() from within.

import type { HeaderList } from '../header-map.ts';
import type { H2SessionError } from './error-codes.ts';
import type { FloodLimits } from './floods.ts';
import type { H2RequestHead } from './request-head.ts';
import type { H2ResponseHead } from './response-head.ts';
import type { H2Stream } from './stream.ts';

/** How one end of a connection behaves. */
export interface SessionOptions {
  /** Which end we are. */
  readonly role: 'client' | 'server';
  /** Server: how many streams the peer may have open; announced. */
  readonly maxConcurrentStreams: number;
  /** What a peer may send on a new stream before it is consumed; announced. Up to 2^31 - 1. */
  readonly initialWindowBytes: number;
  /** Up to which the window of a stream grows while its reader keeps up. */
  readonly maxWindowBytes: number;
  /** What a peer may send on all streams before we have seen it, at least 65535. It is given back as DATA comes. */
  readonly connectionWindowBytes: number;
  /** Largest header list, counted as RFC 9113 §10.5.1 does; announced and enforced. */
  readonly maxHeaderListBytes: number;
  /** Server: announces extended CONNECT (RFC 8441). */
  readonly enableConnectProtocol: boolean;
  /** What a peer may do without doing anything useful. */
  readonly limits: FloodLimits;
  /** How long the peer may take to acknowledge our SETTINGS. */
  readonly settingsTimeoutMs: number;
}

/** Who is told about a connection. */
export interface SessionListener {
  /** Server: a request has come. Set `stream.listener` before returning. `isEnded`: it has no body. */
  request(stream: H2Stream, head: H2RequestHead, isEnded: boolean): void;
  /** Server: a request whose header list is too large. Answer 431 on the stream, or reset it; it has no listener yet. */
  headTooLarge(stream: H2Stream, isEnded: boolean): void;
  /** The peer's SETTINGS were taken over: the first ones, or later ones. */
  settings(): void;
  /** The peer ends the connection gracefully, or announces to. Streams above `lastStreamId` have already been told `reset`. */
  goaway(lastStreamId: number, code: number, debug: string): void;
  /** The session is over because the peer broke a rule. GOAWAY is in the output and all streams have been told. */
  failed(error: H2SessionError): void;
  /** There is output again: call takeOutput() at the end of this turn. */
  outputReady(): void;
}

/** Who ended a stream before its time. */
export type StreamResetBy = 'peer' | 'local' | 'session';

/** Who is told about a stream. */
export interface StreamListener {
  /** Client: an interim (1xx) response. */
  informational(head: H2ResponseHead): void;
  /** Client: the final response. `isEnded`: it has no body. */
  response(head: H2ResponseHead, isEnded: boolean): void;
  /** Client: the header list is over our limit. The stream has been reset with PROTOCOL_ERROR and nothing else comes. */
  responseTooLarge(): void;
  /**
   * Payload, valid during the call; give credit with `stream.consume(view.length)`. `isEnded`: the message is complete; the
   * view may then be empty.
   */
  data(view: Buffer, isEnded: boolean): void;
  /** The message is complete and ends in these trailers; `sensitiveNames` as of a head. */
  trailers(fields: HeaderList, sensitiveNames: ReadonlySet<string> | undefined): void;
  /**
   * The stream ended before both directions were complete: by the peer's RST_STREAM or GOAWAY (`peer`), because the peer
   * broke a rule on it (`local`, RST_STREAM is in the output), or with the session (`session`). It comes once, nothing comes
   * after it, and it never comes for the owner's own `reset()`.
   * @param isUnprocessed the peer has surely done nothing: the request may be sent again elsewhere (RFC 9113 §8.7).
   */
  reset(code: number, by: StreamResetBy, isUnprocessed: boolean): void;
  /**
   * After `sendData` or `sendEnd` returned `false`: all that was queued has become frames. More may be sent now, unless the
   * end was among it.
   */
  writable(): void;
}

/** What happened on a connection so far. */
export interface SessionStats {
  /** Streams that either side opened. */
  readonly openedStreams: number;
  /** Streams whose both directions ended cleanly. */
  readonly completedStreams: number;
  /** RST_STREAM frames by the peer that ended a stream. */
  readonly resetsReceived: number;
  /** RST_STREAM frames of ours, for whatever reason. */
  readonly resetsSent: number;
  /** Requests refused because of our limits. */
  readonly refusedStreams: number;
  /** Payload of DATA frames, without padding. */
  readonly dataBytesReceived: number;
  /** Payload of DATA frames. */
  readonly dataBytesSent: number;
}
