// A captured body as a handler reads it: without its content codings where they can be undone, else as it was, and marked; and without
// a prefix that guards JSON against being run as a script. What was done is told stage by stage.
import {
  antiHijackPrefixOf,
  antiHijackStage,
  codingsOf,
  type ContentFailure,
  decodeContent,
  DecoderChain,
  type HeaderMap,
  isScriptLike,
  mediaType,
} from 'mitm-http';

import type { Capture } from './capture.ts';
import type { Flow } from './flow.ts';
import type { Awaitable } from './handler.ts';
import type { BodyDecoding, Direction } from './messages.ts';

/** What there is of a body. */
export interface DecodedBody {
  readonly bytes: Buffer;
  /** The body goes on beyond this. */
  readonly isTruncated: boolean;
  /** The bytes are as received: their codings are unknown or broken, or too much came out. */
  readonly hasError: boolean;
  /** What was done; undefined where nothing was to be done. */
  readonly decoding: BodyDecoding | undefined;
}

/** The body of a message without one. */
export const noBytes: DecodedBody = Object.freeze({
  bytes: Buffer.alloc(0),
  isTruncated: false,
  hasError: false,
  decoding: undefined,
});

/**
 * Decodes a copy, by the fields of its message. Answers without a promise where there is nothing to decode. A coding that can't be undone
 * is an event of the flow, if that is still open.
 */
export function decodedBody(
  capture: Capture,
  message: { readonly flow: Flow; readonly headers: HeaderMap; readonly direction: Direction },
): Awaitable<DecodedBody> {
  const { headers, direction } = message;
  const bytes = capture.bytes();
  const coding = headers.getAll('content-encoding').join(',');
  const isCoded = bytes.length > 0 && codingsOf(coding).length > 0;
  const mayBeGuarded =
    direction === 'server_to_client' && isScriptLike(mediaType(headers.get('content-type') ?? ''));
  if (!isCoded && !(mayBeGuarded && antiHijackPrefixOf(bytes) !== undefined))
    return { bytes, isTruncated: capture.isTruncated, hasError: false, decoding: undefined };
  return throughChain(capture, message, { coding: isCoded ? coding : '', mayBeGuarded });
}

async function throughChain(
  capture: Capture,
  { flow, direction }: { readonly flow: Flow; readonly direction: Direction },
  { coding, mayBeGuarded }: { readonly coding: string; readonly mayBeGuarded: boolean },
): Promise<DecodedBody> {
  let isCut = capture.isTruncated;
  let contentFailure: ContentFailure | undefined;
  const stages = flow.engine.decoders
    .stagesOf('http_body')
    ?.filter((stage) => (stage === 'content_decode' ? coding !== '' : mayBeGuarded));
  const chain = new DecoderChain(stages ?? [], {
    content_decode: async (frame) => {
      const maxOutputBytes = flow.config.body.maxSizeBytes;
      const { body, isTruncated, failure } = await decodeContent(frame.bytes, coding, { maxOutputBytes });
      isCut ||= isTruncated;
      contentFailure = failure;
      if (failure === undefined) return { status: 'applied', frame: { ...frame, bytes: body } };
      return { status: 'failed', detail: `${failure.code}:${failure.coding}` };
    },
    payload_parse: antiHijackStage,
  });
  const { frame, reports } = await chain.run({
    bytes: capture.bytes(),
    isEnd: !capture.isTruncated,
    attributes: {},
  });
  if (contentFailure !== undefined) tellFailure(flow, direction, contentFailure, capture.length);
  return {
    bytes: frame.bytes,
    isTruncated: isCut,
    hasError: contentFailure !== undefined,
    decoding: { stages: reports, attributes: frame.attributes },
  };
}

function tellFailure(flow: Flow, direction: Direction, failure: ContentFailure, bytesIn: number): void {
  flow.note('decoder_failed', {
    decoder: failure.coding,
    decoderErrorCode: failure.code,
    decoderStage: 'content_decode',
    bytesIn,
    bytesOut: 0,
    direction,
    http2StreamId: flow.http2StreamId,
  });
}
