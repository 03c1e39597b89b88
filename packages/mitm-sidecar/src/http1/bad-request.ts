// What a request that can't be read means for its connection: one answer that says what is wrong, and the end.
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
