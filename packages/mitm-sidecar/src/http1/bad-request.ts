// What a request that can't be read, or a client that leaves, means for its connection: the end, with an answer that says what
// was wrong where somebody is there to read it.
import { Failure } from 'mitm-core';
import { HttpError } from 'mitm-http';

/** The failure of a malformed request, with the status that its fault calls for. */
export function badRequest(error: HttpError): Failure {
  return new Failure('mitm_http_error', {
    side: 'client',
    detail: `request parse error: ${error.code}: ${error.message}`,
    reply: { status: error.status, body: `${error.message}\n` },
    cause: error,
  });
}

/** The failure of a client that left. */
export function clientGone(detail: string): Failure {
  return new Failure('client_aborted', { side: 'client', detail });
}

/** A head that was begun and not finished in time. */
export function lateHead(ms: number): Failure {
  return new Failure('stream_stage_timeout', {
    side: 'client',
    detail: `stream_stage_timeout:http_head_pattern_total:${ms}ms`,
    reply: { status: 408, body: 'the request head did not arrive in time\n' },
  });
}

/** A head of which there is more to come than there is room for. */
export function noRoomForHead(): Failure {
  return new Failure('capacity_denied', {
    side: 'internal',
    detail: 'no room in flight for a request head',
    reply: { status: 503, body: 'the proxy has no room for this request\n' },
  });
}

/** A body that does not go on. */
export function silentBody(ms: number): Failure {
  return new Failure('idle_watchdog_timeout', {
    side: 'client',
    detail: `idle_watchdog_timeout:http1_request_body:${ms}ms`,
    reply: { status: 408, body: 'the request body did not arrive in time\n' },
  });
}

/** A request whose first line ends in LF alone would never come to an end that we accept: it is refused at once. */
export function refuseBareLineFeed(bytes: Buffer, start: number): void {
  const lineEnd = bytes.indexOf(0x0a, start);
  if (lineEnd <= start || bytes[lineEnd - 1] === 0x0d) return;
  throw new HttpError('bare_line_feed', 'the request line ends in LF alone: lines end in CR LF');
}
