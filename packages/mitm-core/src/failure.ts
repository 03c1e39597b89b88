// What goes wrong on the way of a flow: one typed error that knows how the flow closes, whose side it was, and which
// answer the client gets if it has had none yet. Whoever finds the fault throws it; one place turns it into events.
import { inspect } from 'node:util';

import type { Reply } from 'mitm-http';
import type { CloseReason } from 'mitm-observe';

/** Which end of the flow a failure came from; `internal` is ours. */
export const failureSides = ['client', 'upstream', 'internal'] as const;
export type FailureSide = (typeof failureSides)[number];

export interface FailureOptions {
  readonly side: FailureSide;
  /** Says what happened, for events and logs; never sent to a client as it stands. */
  readonly detail?: string | undefined;
  /** The answer to send if nothing has been written to the client yet. */
  readonly reply?: Reply | undefined;
  /** The HTTP/2 code with which one side ended its stream, for the other side to see it too. */
  readonly resetCode?: number | undefined;
  /** The origin has surely done nothing with the request: any may be sent again (RFC 9113 §8.7). */
  readonly isUnprocessed?: boolean | undefined;
  readonly cause?: unknown;
}

/** A fault on the path of a flow. `reason` becomes the `reason_code` of its `stream_closed`. */
export class Failure extends Error {
  readonly reason: CloseReason;
  readonly side: FailureSide;
  readonly detail: string | undefined;
  readonly reply: Reply | undefined;
  readonly resetCode: number | undefined;
  readonly isUnprocessed: boolean;

  constructor(reason: CloseReason, options: FailureOptions) {
    super(options.detail ?? reason, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'Failure';
    this.reason = reason;
    this.side = options.side;
    this.detail = options.detail;
    this.reply = options.reply;
    this.resetCode = options.resetCode;
    this.isUnprocessed = options.isUnprocessed ?? false;
  }

  /**
   * Any thrown value as a Failure: itself when it is one, else an internal fault that closes as `mitm_http_error`.
   * Such a fault is a bug of ours; callers log it.
   */
  static from(error: unknown): Failure {
    if (error instanceof Failure) return error;
    return new Failure('mitm_http_error', {
      side: 'internal',
      detail: `internal error: ${errorText(error)}`,
      reply: { status: 502, body: 'the proxy could not serve this request\n' },
      cause: error,
    });
  }

  /** True for a fault that none of our own code expected. */
  get isUnexpected(): boolean {
    return this.side === 'internal' && this.cause !== undefined && this.reason === 'mitm_http_error';
  }
}

/**
 * The text of an error as details and events show it, on one line: its code where there is one, and its message. Of an
 * OpenSSL error only the reason and the alert are kept; the rest names threads and source files and is never the same.
 */
export function errorText(error: unknown): string {
  if (!(error instanceof Error))
    return oneLine(typeof error === 'string' ? error : inspect(error, { depth: 1 }));
  const code = errorCode(error);
  const reason = 'reason' in error ? error.reason : undefined;
  const alert = /SSL alert number \d+/.exec(error.message)?.[0];
  const message =
    typeof reason === 'string' && /:error:[0-9A-F]+:/.test(error.message)
      ? `${reason}${alert === undefined ? '' : ` (${alert})`}`
      : oneLine(error.message);
  return code === undefined || message.includes(code) ? message : `${code}: ${message}`;
}

/** The `code` of an error, where it has one. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim();
}
