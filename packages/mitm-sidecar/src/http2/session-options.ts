// How both ends of our HTTP/2 connections behave, from the configuration.
import type { MitmConfig } from 'mitm-core';
import type { SessionOptions } from 'mitm-http';

/** What a peer may send on a stream before it was taken; grows to `MAX_WINDOW_BYTES` where it always is at once. */
const INITIAL_WINDOW_BYTES = 262_144;
const MAX_WINDOW_BYTES = 4_194_304;
/** Given back as data comes, so that a stream that nobody reads never stops another one. */
const CONNECTION_WINDOW_BYTES = 16_777_216;

/** The options of one end. */
export function sessionOptions(
  config: MitmConfig,
  role: 'client' | 'server',
  enableConnectProtocol: boolean,
): SessionOptions {
  const { maxConcurrentStreams, ...limits } = config.http2Limits;
  return {
    role,
    maxConcurrentStreams,
    initialWindowBytes: INITIAL_WINDOW_BYTES,
    maxWindowBytes: MAX_WINDOW_BYTES,
    connectionWindowBytes: CONNECTION_WINDOW_BYTES,
    maxHeaderListBytes: config.http2MaxHeaderListSize,
    enableConnectProtocol,
    limits,
    settingsTimeoutMs: config.timeouts.handshakeMs,
  };
}
