// The greeting of an HTTP proxy: a CONNECT for the target, and its answer. Whatever comes behind the answer's head belongs to
// the target and stays on the wire.
import type { Failure, NextProxy } from 'mitm-core';
import {
  type Authority,
  findHeadEnd,
  formatAuthority,
  HttpError,
  parseResponseHead,
  type ResponseHead,
} from 'mitm-http';

import { gather } from '../gather.ts';
import type { Wire } from '../wire.ts';
import {
  credentialsFault,
  greetingCutShort,
  greetingTimedOut,
  type ProxyFault,
  proxyFailure,
} from './proxy-failure.ts';

/** The largest head that a proxy may answer with, its final empty line included. */
const MAX_HEAD_BYTES = 65_536;
const STAGE = 'upstream_http_connect';

export interface GreetingOptions {
  readonly timeoutMs: number;
  /** Whole lines that the greeting carries besides, each with its CRLF. */
  readonly fields?: string | undefined;
}

/**
 * Asks an HTTP proxy for a tunnel to the target.
 *
 * @throws Failure `upstream_connect_failed` with a 502, or a 504 when time ran out
 */
export async function greetHttpProxy(
  wire: Wire,
  proxy: NextProxy,
  target: Authority,
  options: GreetingOptions,
): Promise<void> {
  const refuse = (fault: ProxyFault): Failure => proxyFailure(proxy, target.host, fault);
  const authority = formatAuthority(target.host, target.port);
  wire.writeText(
    `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\nProxy-Connection: keep-alive\r\n${proxyFields(proxy)}${options.fields ?? ''}\r\n`,
  );
  const answer = await gather(wire, { recognise: finalHead, timeoutMs: options.timeoutMs, timeStarts: 'now' })
    .result;
  switch (answer.kind) {
    case 'found': {
      const { head, length } = answer.value;
      if (head.status >= 200 && head.status < 300) {
        wire.skip(length);
        return;
      }
      throw refuse(
        head.status === 407 ? credentialsFault(proxy, challengeOf(head)) : statusFault(head.status),
      );
    }
    case 'failed':
      throw refuse(unreadable(answer.error));
    case 'timeout':
      throw refuse(greetingTimedOut(STAGE, options.timeoutMs));
    case 'ended':
      throw refuse(greetingCutShort(STAGE, undefined));
    case 'closed':
      throw refuse(greetingCutShort(STAGE, answer.error));
  }
}

/** What every message to an HTTP proxy says about who sends it (RFC 7617 §2); empty without credentials. */
export function proxyFields({ credentials }: NextProxy): string {
  if (credentials === undefined) return '';
  const { username, password } = credentials;
  return `Proxy-Authorization: Basic ${Buffer.from(`${username}:${password}`, 'utf8').toString('base64')}\r\n`;
}

/** What a proxy that answers 407 asks for. */
export function challengeOf(head: ResponseHead): string | undefined {
  return head.headers.get('proxy-authenticate');
}

interface FinalHead {
  readonly head: ResponseHead;
  /** With all that came before it. */
  readonly length: number;
}

/** The first head that is no 1xx. @throws HttpError for what is no head, or a larger one than is read */
function finalHead(bytes: Buffer): FinalHead | undefined {
  let start = 0;
  for (;;) {
    const end = findHeadEnd(bytes, start);
    if ((end === -1 ? bytes.length : end) > MAX_HEAD_BYTES) {
      throw new HttpError('head_too_large', `the head is larger than ${MAX_HEAD_BYTES} bytes`);
    }
    if (end === -1) {
      refuseOther(bytes.subarray(start));
      return undefined;
    }
    const head = parseResponseHead(bytes, start, end);
    if (head.status === 101 || head.status >= 200) return { head, length: end };
    start = end;
  }
}

const PREFIX = Buffer.from('HTTP/1.');

/** What can't become a status line any more is refused at once, instead of waiting for its end. */
function refuseOther(bytes: Buffer): void {
  const common = Math.min(bytes.length, PREFIX.length);
  if (bytes.compare(PREFIX, 0, common, 0, common) === 0) return;
  throw new HttpError('invalid_status_line', 'the first bytes are not an HTTP answer');
}

function statusFault(status: number): ProxyFault {
  return {
    detail: `the next proxy answered ${status}`,
    sentence: status === 504 ? 'had no answer in time (504)' : `answered ${status}`,
    isTimeout: status === 504,
    isLoop: status === 508,
  };
}

function unreadable(error: unknown): ProxyFault {
  if (!(error instanceof HttpError)) throw error;
  return {
    detail: `the next proxy's answer can't be read: ${error.code}: ${error.message}`,
    sentence: 'sent an answer that is not valid HTTP',
    cause: error,
  };
}
