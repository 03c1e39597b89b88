// Reads the first head of a client connection and finds the lane it takes: a CONNECT, a plain proxy request, or an answer
// that says what is wrong with it.
import { errorText, Failure, type Flow } from 'mitm-core';
import {
  type ConnectParseCode,
  ConnectParseError,
  findHeadEnd,
  parseConnectHead,
  skipEmptyLines,
} from 'mitm-http';

import { UserCheck } from './arrival/authenticate.ts';
import { acceptProxyTls } from './arrival/proxy-tls.ts';
import { socksVersion } from './arrival/socks5-messages.ts';
import { negotiateSocks5 } from './arrival/socks5.ts';
import { gather, type Gathered } from './gather.ts';
import { prefaceIn } from './handshake/first-bytes.ts';
import { noRoomForHead } from './http1/bad-request.ts';
import { type ConnectRequest, serveConnect } from './lanes/connect.ts';
import { serveDirect } from './lanes/direct.ts';
import { forward, forwardStreams } from './lanes/forward.ts';
import type { Lane } from './lanes/lane.ts';
import { serveTransparent } from './lanes/transparent.ts';
import type { Runtime } from './runtime.ts';
import type { Session } from './session.ts';

const CARRIAGE_RETURN = 13;
/** Refused, but in words that a client of SOCKS4 reads. */
const OLD_SOCKS_VERSION = 4;
const methodAndSpace = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+ /;
/** Whatever is in the first line, it says that it is HTTP. */
const namesHttp = /^[^\r\n]* HTTP\/\d/;
const plainRequestLine = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [^ ]+ HTTP\/1\.[01]\r\n/;

type FirstHead =
  | { readonly kind: 'connect'; readonly request: ConnectRequest; readonly headLength: number }
  | { readonly kind: 'plain' }
  | { readonly kind: 'socks5' }
  | { readonly kind: 'http2' };

/**
 * Reads the first head and chooses the lane.
 *
 * @throws Failure `connect_parse_failed` with 400, 408 or 431, `client_aborted` when nothing came at all
 */
export async function chooseLane(flow: Flow, session: Session, runtime: Runtime): Promise<Lane> {
  const { config } = flow;
  const { kind, tls } = session.wayIn;
  if (kind === 'direct') return serveDirect;
  if (kind === 'transparent') return serveTransparent;
  if (tls !== undefined) await acceptProxyTls(flow, session, tls);
  const { result } = gather(session.wire, {
    recognise: (bytes, hasRoom): FirstHead | undefined => {
      const version = bytes[0];
      if (version === socksVersion || version === OLD_SOCKS_VERSION || kind === 'socks5')
        return version === undefined ? undefined : { kind: 'socks5' };
      const preface = config.http2Enabled ? prefaceIn(bytes) : 'no';
      if (preface !== 'no') return preface === 'whole' ? { kind: 'http2' } : undefined;
      const head = recogniseHead(bytes, config.maxConnectHeadBytes, config.connectParseMode);
      if (head === undefined && !hasRoom) throw noRoomForHead();
      return head;
    },
    timeoutMs: config.timeouts.headMs,
    timeStarts: 'first_byte',
    silenceMs: config.connectionPool.idleTimeoutMs,
  });
  const head = headOf(await result, flow);
  if (head.kind === 'plain') return forward;
  if (head.kind === 'http2') return forwardStreams;
  if (head.kind === 'socks5') {
    const request = await negotiateSocks5(flow, session, runtime);
    return () => serveConnect(flow, runtime, request);
  }
  session.wire.skip(head.headLength);
  const { request } = head;
  flow.nameTarget({ host: request.host, port: request.port });
  new UserCheck(runtime, session).require(flow, request.headers);
  return () => serveConnect(flow, runtime, request);
}

/** Reads the first head when it is whole. @throws ConnectParseError */
export function recogniseHead(
  bytes: Buffer,
  maxBytes: number,
  mode: Parameters<typeof parseConnectHead>[1],
): FirstHead | undefined {
  const start = skipEmptyLines(bytes, 0);
  const end = findHeadEnd(bytes, start);
  if ((end === -1 ? bytes.length : end) > maxBytes) {
    throw new ConnectParseError('header_too_large', `the first head is larger than ${maxBytes} bytes`);
  }
  if (end === -1) {
    refuseGarbage(bytes.subarray(start));
    return undefined;
  }
  try {
    const { host, port, headers, headLength } = parseConnectHead(bytes.subarray(start, end), mode);
    return { kind: 'connect', request: { host, port, headers }, headLength: start + headLength };
  } catch (error) {
    if (!(error instanceof ConnectParseError) || error.code !== 'method_not_connect') throw error;
    if (!namesHttp.test(bytes.toString('latin1', start, end))) {
      throw new ConnectParseError('invalid_request_line', 'the first line is not one of HTTP');
    }
    if (
      !plainRequestLine.test(bytes.toString('latin1', start, end)) ||
      /^connect /i.test(bytes.toString('latin1', start, start + 8))
    )
      throw error;
    return { kind: 'plain' };
  }
}

/** Bytes that can't become a request line are refused at once, instead of waiting for an end that never comes. */
function refuseGarbage(bytes: Buffer): void {
  // The beginning of one more empty line.
  if (bytes.length === 1 && bytes[0] === CARRIAGE_RETURN) return;
  const first = bytes.toString('latin1', 0, 64);
  if (first.length < 64 && !/[^!#$%&'*+\-.^_`|~0-9A-Za-z ]/.test(first.split(' ', 1)[0] ?? '')) return;
  if (methodAndSpace.test(first)) return;
  throw new ConnectParseError('invalid_request_line', 'the first bytes are not an HTTP request');
}

function headOf(result: Gathered<FirstHead>, flow: Flow): FirstHead {
  switch (result.kind) {
    case 'found':
      return result.value;
    case 'failed':
      throw result.error instanceof Failure ? result.error : parseFailure(flow, result.error);
    case 'timeout':
      if (result.received === 0)
        throw new Failure('client_aborted', { side: 'client', detail: 'nothing was sent' });
      throw refused(
        flow,
        'read_error',
        `stream_stage_timeout:connect_head_total:${flow.config.timeouts.headMs}ms`,
        408,
      );
    case 'ended':
    case 'closed':
      if (result.received === 0)
        throw new Failure('client_aborted', { side: 'client', detail: 'nothing was sent' });
      throw refused(flow, 'incomplete_headers', 'the connection ended within the first head', undefined);
  }
}

function parseFailure(flow: Flow, error: unknown): Failure {
  if (error instanceof ConnectParseError) {
    // In front of one origin, whoever speaks neither HTTP/1 nor HTTP/2 could not read an answer either (RFC 9113 §3.4).
    if (
      error.code === 'invalid_request_line' &&
      flow.config.routeMode === 'reverse' &&
      flow.config.http2Enabled
    )
      return refused(flow, error.code, error.message, undefined);
    return refused(flow, error.code, error.message, error.code === 'header_too_large' ? 431 : 400);
  }
  return refused(flow, 'read_error', errorText(error), 400);
}

function refused(flow: Flow, code: ConnectParseCode, detail: string, status: number | undefined): Failure {
  flow.emit('connect_parse_failed', { parseErrorCode: code, parseErrorDetail: detail });
  return new Failure('connect_parse_failed', {
    side: 'client',
    detail: code,
    ...(status === undefined ? {} : { reply: { status, body: `${detail}\n` } }),
  });
}
