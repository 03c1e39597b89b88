// The compatibility override `strictHeaderMode` on the client's side: a request in HTTP/1.0 is refused.

import { Failure } from 'mitm-core';
import { checkStrictHeaderMode, H2RequestHead, HttpError } from 'mitm-http';

import { badRequest } from '../http1/bad-request.ts';
import type { RequestMessage } from '../relay/sides.ts';

/** @throws Failure with a 505 for a request in HTTP/1.0 */
export function requireStrict(head: RequestMessage): void {
  if (head instanceof H2RequestHead) return;
  try {
    checkStrictHeaderMode(head);
  } catch (error) {
    throw error instanceof HttpError ? badRequest(error) : Failure.from(error);
  }
}
