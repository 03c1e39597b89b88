// The public face of mitm-http.
export { withoutQuicAlternatives } from './alt-svc.ts';
export {
  antiHijackPrefixes,
  antiHijackPrefixOf,
  antiHijackStage,
  isScriptLike,
  withoutPrefix,
} from './anti-hijack.ts';
export type { AntiHijackMatch, AntiHijackPrefix } from './anti-hijack.ts';
export {
  AuthorityError,
  authorityErrorCodes,
  canonicalHost,
  formatAuthority,
  formatHost,
  hostKind,
  hostKinds,
  parseAuthority,
} from './authority.ts';
export type { Authority, AuthorityErrorCode, HostKind } from './authority.ts';
export { parseIpv6 } from './ipv6.ts';
export { BodyFramer, encodeChunkHead, encodeLastChunk } from './body-framer.ts';
export type { BodyLimits } from './body-framer.ts';
export {
  ConnectParseError,
  connectParseCodes,
  connectParseModes,
  http3Hint,
  parseConnectHead,
} from './connect.ts';
export type { ConnectHead, ConnectParseCode, ConnectParseMode } from './connect.ts';
export { codingsOf, ContentDecoder, contentDecoderErrorCodes } from './content-decoder.ts';
export type { ContentDecoderErrorCode, ContentDecoderLimits, ContentSink } from './content-decoder.ts';
export { decodeContent, mediaType } from './content-coding.ts';
export type { ContentFailure, DecodeContentOptions, DecodedContent } from './content-coding.ts';
export {
  builtInStages,
  DecoderChain,
  DecoderChainError,
  decoderFailureCodes,
  DecoderRegistry,
  decoderStages,
  stageStatuses,
} from './decoder-chain.ts';
export type {
  ChainResult,
  DecoderFailureCode,
  DecoderFrame,
  DecoderStage,
  StageFailure,
  StageProcessor,
  StageProcessors,
  StageReport,
  StageResult,
  StageStatus,
} from './decoder-chain.ts';
export { HttpError, httpErrorCodes } from './errors.ts';
export type { HttpErrorCode } from './errors.ts';
export { formatFieldLines } from './field-lines.ts';
export { frameKinds } from './frames/frame.ts';
export type { FrameKind, FrameParser } from './frames/frame.ts';
export {
  checkHost,
  checkStrictHeaderMode,
  checkTargetHost,
  chunkedBody,
  isPersistent,
  noBody,
  requestFraming,
  responseFraming,
  untilCloseBody,
} from './framing.ts';
export type { BodyFraming } from './framing.ts';
export {
  findHeadEnd,
  parseRequestHead,
  parseResponseHead,
  RequestHead,
  ResponseHead,
  skipEmptyLines,
} from './head.ts';
export type { HttpVersion, MessageHead } from './head.ts';
export { headLeniencies } from './head-leniency.ts';
export type { HeadLeniency } from './head-leniency.ts';
export { HeaderMap } from './header-map.ts';
export type { HeaderList } from './header-map.ts';
export { alpnLabel, alpnProtocols, applicationProtocols, protocolOfAlpn } from './protocol.ts';
export type { AlpnProtocol, ApplicationProtocol } from './protocol.ts';
export { connectEstablishedHead, continueHead, h2Reply, writeReply } from './reply.ts';
export type { H2Reply, Reply } from './reply.ts';
export { hopByHopFields, isHopByHop, writeRequestHead, writeResponseHead } from './rewrite.ts';
export type { WriteRequestOptions, WriteResponseOptions } from './rewrite.ts';
export { parseTarget, targetForms } from './target.ts';
export type { RequestTarget, TargetForm } from './target.ts';
export { floodReasons, h2Code, h2CodeName, H2SessionError, h2SessionReasons } from './h2/error-codes.ts';
export type { FloodReason, H2SessionReason } from './h2/error-codes.ts';
export { defaultFloodLimits } from './h2/floods.ts';
export type { FloodLimits } from './h2/floods.ts';
export { clientPreface } from './h2/frames.ts';
export { http1RequestText, http1ResponseText } from './h2/http1-text.ts';
export type { Http1RequestOptions, Http1ResponseOptions } from './h2/http1-text.ts';
export { HpackDecoder } from './h2/hpack-decoder.ts';
export type { HeaderBlock } from './h2/hpack-decoder.ts';
export { HpackEncoder } from './h2/hpack-encoder.ts';
export { HpackError, hpackErrorCodes } from './h2/hpack-error.ts';
export type { HpackErrorCode } from './h2/hpack-error.ts';
export { H2MessageError, h2MessageErrorCodes } from './h2/message-error.ts';
export type { H2MessageErrorCode } from './h2/message-error.ts';
export { H2RequestHead, parseH2Request } from './h2/request-head.ts';
export { H2ResponseHead, parseH2Response } from './h2/response-head.ts';
export { H2Session } from './h2/session.ts';
export type {
  SessionListener,
  SessionOptions,
  SessionStats,
  StreamListener,
  StreamResetBy,
} from './h2/session-types.ts';
export { H2Stream } from './h2/stream.ts';
export { sanitizedTrailers } from './h2/trailers.ts';
export {
  forwardedRequestFields,
  forwardedResponseFields,
  h2RequestFraming,
  h2ResponseFraming,
  requestFieldsOf,
  responseFieldsOf,
} from './h2/translate.ts';
export type { ForwardedRequestOptions, RequestFieldsOptions } from './h2/translate.ts';
export {
  decodeGrpcMessage,
  grpcCallOf,
  grpcDetectionModes,
  grpcMethodOf,
  grpcProtocolOf,
  grpcProtocols,
  grpcStatusNames,
  grpcStatusOf,
  grpcStatusOfHttp,
  grpcWebTrailers,
  isTrailersOnly,
} from './grpc.ts';
export type {
  GrpcCall,
  GrpcDetectionMode,
  GrpcMethod,
  GrpcProtocol,
  GrpcStatus,
  GrpcStatusName,
} from './grpc.ts';
export { eventStreamText } from './frames/event-stream-headers.ts';
export type { EventStreamHeader, EventStreamValue } from './frames/event-stream-headers.ts';
export { EventStreamParser } from './frames/event-stream.ts';
export type { EventStreamFacts } from './frames/event-stream.ts';
export { FrameError, frameErrorCodes } from './frames/frame.ts';
export type { EmitFrame, FrameErrorCode, FrameErrorFacts, FrameFacts } from './frames/frame.ts';
export { GrpcInflater, grpcMessageIssues } from './frames/grpc-inflate.ts';
export type { GrpcMessageIssue, InflatedMessage } from './frames/grpc-inflate.ts';
export { GrpcParser } from './frames/grpc.ts';
export type { GrpcFacts } from './frames/grpc.ts';
export { jsonForms, JsonValueParser } from './frames/json-array.ts';
export type { JsonForm, JsonValueFacts } from './frames/json-array.ts';
export { NdjsonParser } from './frames/ndjson.ts';
export type { NdjsonFacts } from './frames/ndjson.ts';
export {
  builtInFramers,
  eventStreamFramer,
  FramerRegistry,
  grpcFramer,
  isStreamType,
  jsonArrayFramer,
  jsonSequenceFramer,
  ndjsonFramer,
  sseFramer,
} from './frames/select.ts';
export type { FramedMessage, FramerFactory } from './frames/select.ts';
export { SseParser } from './frames/sse.ts';
export type { SseFacts } from './frames/sse.ts';
export { closeCode, closeCodeFor, isWireCloseCode } from './websocket/close-code.ts';
export type { CloseStatus } from './websocket/close-code.ts';
export type { DeflateAgreement, WebSocketExtension } from './websocket/extension.ts';
export { deflateOf } from './websocket/extension.ts';
export { WebSocketFault, webSocketFaultCodes } from './websocket/fault.ts';
export type { WebSocketFaultCode } from './websocket/fault.ts';
export { encodeCloseFrame } from './websocket/frame-encoder.ts';
export type { FrameHead } from './websocket/frame-head.ts';
export { FrameReader } from './websocket/frame-reader.ts';
export type { FrameSink } from './websocket/frame-reader.ts';
export type { FrameRules } from './websocket/frame-rules.ts';
export {
  acceptOf,
  isWebSocketRequest,
  parseConnectAgreement,
  parseConnectOffer,
  parseUpgradeRequest,
  parseUpgradeResponse,
  webSocketVersion,
} from './websocket/handshake.ts';
export type { WebSocketAgreement, WebSocketOffer } from './websocket/handshake.ts';
export {
  webSocketRequestCodes,
  WebSocketRequestError,
  webSocketResponseCodes,
  WebSocketResponseError,
} from './websocket/handshake-error.ts';
export { MessageReader, messageIssues } from './websocket/message-reader.ts';
export type {
  EmitMessage,
  MessageIssue,
  MessageOptions,
  WebSocketCloseFacts,
  WebSocketMessageFacts,
} from './websocket/message-reader.ts';
export { opcode, opcodeLabel, webSocketDirections } from './websocket/opcode.ts';
export type { WebSocketDirection } from './websocket/opcode.ts';
export { turnFlushReasons, turnIdleMs, TurnTracker } from './websocket/turn.ts';
export type { TurnFlushReason, TurnFrame, TurnSink, TurnStart, TurnSummary } from './websocket/turn.ts';
