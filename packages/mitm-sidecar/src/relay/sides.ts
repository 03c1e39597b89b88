// The two ends of one exchange as the relay sees them, whatever HTTP version is behind: who receives what, who may ask
// whom to wait, and what the relay is told and tells. Everything is called synchronously; a piece of a body is valid only
// during the call that brings it.
import type { Awaitable, Failure, NextProxy } from 'mitm-core';
import type {
  BodyFraming,
  H2RequestHead,
  H2ResponseHead,
  HeadLeniency,
  HeaderList,
  Reply,
  RequestHead,
  ResponseHead,
  WebSocketAgreement,
} from 'mitm-http';
import type { CloseReason } from 'mitm-observe';

/** A request head of either version. */
export type RequestMessage = RequestHead | H2RequestHead;

/** A response head of either version. */
export type ResponseMessage = ResponseHead | H2ResponseHead;

/** Told what comes from the client. */
export interface RequestReceiver {
  /** A piece of the body. False asks the inbound side to pause until `resume`. */
  requestData(piece: Buffer): boolean;
  /** @param sensitive names of trailers that no table of HPACK may hold, here or further on (RFC 7541 §7.1.3) */
  requestEnd(trailers: HeaderList | undefined, sensitive?: ReadonlySet<string>): void;
  /** The client is gone, or sent what can't be read. */
  requestFailed(failure: Failure): void;
  /** What was written to the client has left. */
  clientDrained(): void;
}

/** Told what comes from the origin. */
export interface ResponseReceiver {
  /** A 1xx other than 101. */
  informational(head: ResponseMessage): void;
  /** The final head, or a 101. */
  responseHead(head: ResponseMessage, framing: BodyFraming): void;
  responseData(piece: Buffer): boolean;
  /** @param sensitive as of `requestEnd` */
  responseEnd(trailers: HeaderList | undefined, sensitive?: ReadonlySet<string>): void;
  /** Everything that arrived together has been told: what waits for company may be written. */
  responseFlush(): void;
  /** The origin is gone, or sent what can't be read. `isUntouched` when no byte of an answer had come. */
  responseFailed(failure: Failure, isUntouched: boolean): void;
  /** What was written to the origin has left. */
  upstreamDrained(): void;
}

/** How an answer is written towards the client. */
export interface ResponseOptions {
  /** The connection closes after this answer. */
  readonly isLast: boolean;
  /** The answer is a 101: its Upgrade field stays. */
  readonly isUpgrade: boolean;
  /** What to add to Via. */
  readonly via?: string | undefined;
  /** Alternatives over QUIC are taken out of Alt-Svc. */
  readonly dropsQuic?: boolean | undefined;
}

/** One exchange as the client sees it. */
export interface Inbound {
  readonly head: RequestMessage;
  readonly framing: BodyFraming;
  /** All of the request has been read. */
  readonly isRequestComplete: boolean;
  /** The client wants the connection to go on after this exchange. */
  readonly isPersistent: boolean;
  /** The protocols the client would switch to, joined by commas; '' for none. */
  readonly upgrade: string;
  /** Both directions go on independently of each other until each has ended, as in a tunnel. */
  readonly isTwoWay: boolean;
  /** The client learns the end of a body framed so only from the end of the connection. */
  endsWith(framing: BodyFraming): boolean;
  /** `abort` with a code tells the client that code. */
  readonly passesResets: boolean;
  /** Starts to deliver the body, at once with what is there. */
  receive(receiver: RequestReceiver): void;
  /** Tells the receiver of the client's leaving and of drains, without delivering a body yet. */
  watch(receiver: RequestReceiver): void;
  pause(): void;
  resume(): void;
  /** Tells the client to send its body (RFC 9110 §15.2.1). */
  sendContinue(): void;
  sendInformational(head: ResponseMessage): void;
  /** Prepares the head; it leaves with the first piece, or at `flush`. */
  sendHead(head: ResponseMessage, framing: BodyFraming, options: ResponseOptions): void;
  sendData(piece: Buffer): boolean;
  sendEnd(trailers: HeaderList | undefined, sensitive?: ReadonlySet<string>): void;
  flush(): void;
  /** Answers in the origin's place. */
  reply(reply: Reply, options: { readonly isLast: boolean }): void;
  /**
   * Ends the exchange so that the client sees its message cut short.
   *
   * @param code what an HTTP/2 client is told (RFC 9113 §7)
   */
  abort(code?: number): void;
}

/** A proxy that is handed a request in absolute form (RFC 9112 §3.2.2). */
export interface HandedTo {
  readonly proxy: NextProxy;
  /** Whole lines for it alone, each with its CRLF. */
  readonly fields: string;
}

/** What a request to an origin is made of. */
export interface OutboundRequest {
  readonly head: RequestMessage;
  readonly framing: BodyFraming;
  readonly scheme: 'http' | 'https';
  /** Whom it is for, as the client named it, without a default port. */
  readonly authority: string;
  /** The request target to write, and a Host to put in the received one's place. */
  readonly target: string;
  readonly host?: string | undefined;
  readonly keepUpgrade: boolean;
  readonly dropExpect: boolean;
  /** Faults in the head of the answer that are repaired for this origin. */
  readonly responseLeniency?: readonly HeadLeniency[] | undefined;
  /** Replaces the value of Max-Forwards. */
  readonly maxForwards?: number | undefined;
  /** The proxy that is handed the request; its 407 is ours to explain. */
  readonly handedTo?: HandedTo | undefined;
  /** The answer must be HTTP/1.1 or newer. */
  readonly isStrict?: boolean | undefined;
  /** What to add to Via. */
  readonly via?: string | undefined;
}

/** One exchange as the origin sees it. */
export interface Outbound {
  /** The connection has carried an exchange before. */
  readonly isReused: boolean;
  /**
   * It was this client's alone when this exchange began: the origin may know the client by the connection, so that no
   * other connection can stand in for it.
   */
  readonly isBound: boolean;
  /** Prepares the head; it leaves with the first piece of the body, or at `flush`. */
  send(request: OutboundRequest, receiver: ResponseReceiver): void;
  sendData(piece: Buffer): boolean;
  sendEnd(trailers: HeaderList | undefined, sensitive?: ReadonlySet<string>): void;
  flush(): void;
  pause(): void;
  resume(): void;
  /** The exchange is over, or never began: the connection goes to the pool if it is still good, else it is closed. */
  release(): void;
  /**
   * Gives the exchange up.
   *
   * @param code what an HTTP/2 origin is told (RFC 9113 §7)
   */
  abort(code?: number): void;
}

/** Hands out upstream connections for one exchange. */
export interface Upstream {
  /** @param isRepeat an attempt on another connection has failed: give a new one */
  acquire(isRepeat: boolean): Awaitable<Outbound>;
  /**
   * Says what an exchange ends of whose connection was lost; where that was by an error of TLS itself, it is also reported.
   *
   * @param isFirst nothing had come on this connection, so that its handshake may have been accepted by us alone
   */
  explain(failure: Failure, isFirst: boolean): Failure;
  /** Gives up the place of an `acquire` that waits for its turn. A connection that comes nevertheless is released. */
  cancel(): void;
}

export interface RelayOptions {
  readonly target: string;
  readonly host?: string | undefined;
  /** Replaces the value of Max-Forwards. */
  readonly maxForwards?: number | undefined;
  /** The proxy that is handed the request, where that is not the origin's business. */
  readonly handedTo?: HandedTo | undefined;
  /** The name under which the proxy enters itself into Via; none by default. */
  readonly via?: string | undefined;
  /** Alternatives over QUIC are taken out of Alt-Svc. */
  readonly dropsQuic: boolean;
  /** The connection closes after this exchange whatever happens: the proxy is shutting down. */
  readonly isDraining: () => boolean;
  /** Silence while a body is read for the handler, after which it decides on what there is. */
  readonly bufferIdleMs: number;
  /** The pause before the one further attempt after a failure that may be over by then; undefined for no such attempt. */
  readonly retryDelayMs: number | undefined;
}

/** How an exchange ended. */
export interface ExchangeEnd {
  readonly reason: CloseReason;
  readonly detail: string | undefined;
  /** The client's connection may carry another request. */
  readonly isReusable: boolean;
  /** Set when the origin switched protocols: both connections now carry something else. */
  readonly upgraded: Upgraded | undefined;
}

/** Two connections that speak another protocol from here on. */
export interface Upgraded {
  readonly outbound: Outbound;
  /** What was agreed on where it is a WebSocket that is watched; any other protocol is opaque. */
  readonly webSocket: WebSocketAgreement | undefined;
}
