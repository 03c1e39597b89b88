// Configuration of every bound: memory, connections, queues and waiting. Whatever grows with traffic is bounded here.
import { z } from 'zod';

import { bytes, count, gibibyte, mebibyte, milliseconds, reading } from './field.ts';

const defaultDecoderBytes = 4 * mebibyte;

const connectionPoolSchema = z
  .strictObject({
    maxConnectionsPerHost: count('connections', 65_535)
      .default(256)
      .describe(
        'Most connections to one origin that requests share; a further request waits for up to `upstream.connectTimeoutMs` and is then answered 504. Upgraded connections, those that NTLM or Negotiate tied to one client, and those that carry a stream of events or messages do not count.',
      ),
    idleTimeoutMs: milliseconds()
      .default(60_000)
      .describe('How long a connection without a request is kept, in milliseconds.'),
    maxIdlePerHost: count('connections', 65_535)
      .default(64)
      .describe('Most connections to one origin that stay open for longer than a second without a request.'),
  })
  .prefault({})
  .describe('Connections to origins that are kept for the next request.');

const bodySchema = z
  .strictObject({
    maxSizeBytes: bytes(gibibyte)
      .default(10 * mebibyte)
      .describe(
        'How much of a body the handler gets, in bytes. The rest goes on its way unseen, and the copy is marked as truncated.',
      ),
    bufferRequestBodies: z
      .boolean()
      .default(true)
      .describe(
        'Wait for the whole request body, up to `maxSizeBytes`, before the handler decides. With false it decides by the head.',
      ),
    bufferIdleMs: milliseconds()
      .default(2_000)
      .describe(
        'Longest silence while that body is awaited, in milliseconds. Then the handler decides by what has arrived.',
      ),
    maxDecoderBytes: bytes(gibibyte)
      .optional()
      .describe(
        'Largest single item that is assembled from a stream, such as an SSE event, a line or a message, in bytes. At most `maxSizeBytes`; without it, 4 MiB or `maxSizeBytes`, whichever is smaller.',
      ),
  })
  .superRefine(
    (body, ctx) => {
      if (body.maxDecoderBytes === undefined || body.maxDecoderBytes <= body.maxSizeBytes) return;
      ctx.addIssue({
        code: 'custom',
        path: ['maxDecoderBytes'],
        message: `must not be larger than body.maxSizeBytes, which is ${body.maxSizeBytes}`,
        input: body.maxDecoderBytes,
      });
    },
    reading('maxDecoderBytes', 'maxSizeBytes'),
  )
  .transform((body) => ({
    ...body,
    maxDecoderBytes: body.maxDecoderBytes ?? Math.min(defaultDecoderBytes, body.maxSizeBytes),
  }))
  .prefault({})
  .describe("The handler's copies of bodies. They never shorten what is forwarded.");

const timeoutsSchema = z
  .strictObject({
    headMs: milliseconds()
      .default(30_000)
      .describe(
        "Time for a client's head from its first byte, and for a chunk line or trailers, in milliseconds. Late is 408.",
      ),
    handshakeMs: milliseconds()
      .default(10_000)
      .describe('Time for one TLS handshake, or for the greeting of a proxy on the way, in milliseconds.'),
    tunnelIdleMs: milliseconds()
      .default(600_000)
      .describe(
        'Longest silence in both directions of a tunnel, a WebSocket or an opaque relay, in milliseconds.',
      ),
    bodyIdleMs: milliseconds()
      .default(600_000)
      .describe('Longest silence inside an HTTP/1 body, in milliseconds.'),
  })
  .prefault({})
  .describe('How long the proxy waits for the other side.');

const http2LimitsSchema = z
  .strictObject({
    maxConcurrentStreams: count('streams', 10_000)
      .default(128)
      .describe('Most streams that a client may have open on one connection; further ones are refused.'),
    spanMs: milliseconds()
      .default(10_000)
      .describe('The time for which the counts below hold, in milliseconds.'),
    maxResets: count('streams', 1_000_000)
      .default(200)
      .describe('Streams that a client may reset beyond as many as it completes. More is `rapid_reset`.'),
    maxRefusedStreams: count('streams', 1_000_000)
      .default(200)
      .describe('Streams beyond `maxConcurrentStreams` that are only refused. More is `too_many_streams`.'),
    maxContinuationFrames: count('frames', 10_000)
      .default(32)
      .describe('CONTINUATION frames of one header block. More is `continuation_flood`.'),
    maxSettingsFrames: count('frames', 1_000_000)
      .default(100)
      .describe('SETTINGS frames. More is `settings_flood`.'),
    maxPings: count('frames', 1_000_000)
      .default(2_000)
      .describe('PING frames beyond as many DATA frames as went either way. More is `ping_flood`.'),
    maxEmptyDataFrames: count('frames', 1_000_000)
      .default(200)
      .describe('DATA frames without data that end nothing. More is `empty_data_flood`.'),
    maxWindowUpdates: count('frames', 1_000_000)
      .default(2_000)
      .describe('WINDOW_UPDATE frames beyond ten for each DATA frame sent. More is `window_update_flood`.'),
    maxIgnoredFrames: count('frames', 1_000_000)
      .default(5_000)
      .describe('Frames that do nothing, such as PRIORITY. More is `ignored_frame_flood`.'),
    maxQueuedControlFrames: count('frames', 1_000_000)
      .default(1_000)
      .describe('Answers owed to a peer that reads none of them. More is `control_queue_flood`.'),
    zeroWindowMs: milliseconds()
      .default(300_000)
      .describe(
        'How long a peer may leave no window for data that waits, in milliseconds. Then it is `zero_window_stall`.',
      ),
  })
  .prefault({})
  .describe(
    'What an HTTP/2 peer may do without doing anything useful (RFC 9113 section 10.5). Beyond it, its connection ends with ENHANCE_YOUR_CALM and a close reason of that name.',
  );

export const limitFields = {
  maxConcurrentFlows: count('connections', 1_000_000)
    .default(2_048)
    .describe('Most client connections at a time. A further one gets 503.'),
  maxInFlightBytes: bytes(64 * gibibyte)
    .default(64 * mebibyte)
    .describe('Most bytes that the proxy holds in buffers and copies at a time, over all connections.'),
  maxFlowEventBacklog: count('events', 10_000_000)
    .default(8_192)
    .describe(
      'Events of one flow after which those that come with every piece of a body, frame or streamed event are left out and counted. All others are always told.',
    ),
  connectionPool: connectionPoolSchema,
  body: bodySchema,
  timeouts: timeoutsSchema,
  http2Limits: http2LimitsSchema,
};

const headFields = ['maxConnectHeadBytes', 'maxHttpHeadBytes'] as const;

/** The rule between the bounds: memory for all connections must hold at least one head, or none could be served. */
export function checkMemory(
  values: Readonly<Record<'maxInFlightBytes' | (typeof headFields)[number], number>>,
  ctx: z.core.$RefinementCtx,
): void {
  for (const field of headFields) {
    if (values[field] <= values.maxInFlightBytes) continue;
    ctx.addIssue({
      code: 'custom',
      path: ['maxInFlightBytes'],
      message: `must not be smaller than ${field}, which is ${values[field]}: not one head would fit`,
      input: values.maxInFlightBytes,
    });
  }
}
