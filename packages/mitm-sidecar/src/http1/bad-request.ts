// What a request that can't be read, or a client that leaves, means for its connection: the end, with an answer that says what
// was wrong where somebody is there to read it.
import { Failure } from 'mitm-core';
import type { HttpError } from 'mitm-http';

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
