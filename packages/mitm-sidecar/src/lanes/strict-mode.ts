// The compatibility override `strictHeaderMode` on the client's side: a request in HTTP/1.0 is refused.

import { Failure } from 'mitm-core';
import { checkStrictHeaderMode, HttpError, type RequestHead } from 'mitm-http';

import { badRequest } from '../http1/bad-request.ts';

/** @throws Failure with a 505 for a request in HTTP/1.0 */
export function requireStrict(head: RequestHead): void {
  try {
    checkStrictHeaderMode(head);
  } catch (error) {
    throw error instanceof HttpError ? badRequest(error) : Failure.from(error);
  }
}
