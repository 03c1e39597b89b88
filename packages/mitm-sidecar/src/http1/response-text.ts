// Answers as a client of HTTP/1 reads them, whichever version they came in.

import { type BodyFraming, H2ResponseHead, http1ResponseText, noBody, writeResponseHead } from 'mitm-http';

import { withoutQuic } from '../http2/response-fields.ts';
import type { ResponseMessage, ResponseOptions } from '../relay/sides.ts';

export interface ResponseTextOptions extends ResponseOptions {
  /** The client speaks HTTP/1.0. */
  readonly isOld: boolean;
  /** The request's method. */
  readonly method: string;
}

/** A final head, or a 101. */
export function responseText(
  head: ResponseMessage,
  framing: BodyFraming,
  options: ResponseTextOptions,
): string {
  const { isOld, isLast, isUpgrade, via } = options;
  if (head instanceof H2ResponseHead) {
    const text = http1ResponseText(withoutQuic(head, options.dropsQuic), {
      requestMethod: options.method,
      framing,
      minorVersion: isOld ? 0 : 1,
      isLast,
    });
    return via === undefined ? text : `${text.slice(0, -2)}Via: ${via}\r\n\r\n`;
  }
  let fields = via === undefined ? '' : `Via: ${via}\r\n`;
  if (!isUpgrade && (isLast || isOld))
    fields += isLast ? 'Connection: close\r\n' : 'Connection: keep-alive\r\n';
  return writeResponseHead(head, {
    keepUpgrade: isUpgrade,
    dropTransferEncoding: isOld && framing.kind === 'chunked',
    dropQuicAlternatives: options.dropsQuic,
    fields,
  });
}

/** A 1xx. */
export function interimText(head: ResponseMessage): string {
  if (!(head instanceof H2ResponseHead)) return writeResponseHead(head);
  return http1ResponseText(head, { requestMethod: '', framing: noBody, minorVersion: 1, isLast: false });
}
