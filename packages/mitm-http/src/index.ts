// The public face of mitm-http.
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
export { decodeContent, mediaType } from './content-coding.ts';
export type { DecodeContentOptions, DecodedContent } from './content-coding.ts';
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
export { findHeadEnd, parseRequestHead, parseResponseHead, skipEmptyLines } from './head.ts';
export type { HttpVersion, MessageHead, RequestHead, ResponseHead } from './head.ts';
export { headLeniencies } from './head-leniency.ts';
export type { HeadLeniency } from './head-leniency.ts';
export { HeaderMap } from './header-map.ts';
export type { HeaderList } from './header-map.ts';
export { alpnLabel, alpnProtocols, applicationProtocols, protocolOfAlpn } from './protocol.ts';
export type { AlpnProtocol, ApplicationProtocol } from './protocol.ts';
export { connectEstablishedHead, continueHead, writeReply } from './reply.ts';
export type { Reply } from './reply.ts';
export { hopByHopFields, isHopByHop, writeRequestHead, writeResponseHead } from './rewrite.ts';
export type { WriteRequestOptions, WriteResponseOptions } from './rewrite.ts';
export { parseTarget, targetForms } from './target.ts';
export type { RequestTarget, TargetForm } from './target.ts';
