// A malformed request becomes one answer that says what is wrong.
import { HttpError, type HttpErrorCode } from 'mitm-http';
import { describe, expect, test } from 'vitest';

import { badRequest, lateHead, refuseBareLineFeed, silentBody } from '../../src/http1/bad-request.ts';

describe('badRequest', () => {
  const rows: readonly [HttpErrorCode, number][] = [
    ['conflicting_framing', 400],
    ['missing_host', 400],
    ['head_too_large', 431],
    ['unknown_transfer_coding', 501],
  ];
  test.each(rows)('%s is answered with %i, its message, and its code in the detail', (code, status) => {
    const error = new HttpError(code, 'what is wrong');
    const failure = badRequest(error);
    expect(failure.reason).toBe('mitm_http_error');
    expect(failure.side).toBe('client');
    expect(failure.detail).toBe(`request parse error: ${code}: what is wrong`);
    expect(failure.reply).toEqual({ status: error.status, body: 'what is wrong\n' });
    expect(failure.reply?.status).toBe(status);
    expect(failure.cause).toBe(error);
  });
});

test('what does not arrive in time is 408, and says what was awaited and for how long', () => {
  expect(lateHead(5)).toMatchObject({
    reason: 'stream_stage_timeout',
    detail: 'stream_stage_timeout:http_head_pattern_total:5ms',
    reply: { status: 408 },
  });
  expect(silentBody(6)).toMatchObject({
    reason: 'idle_watchdog_timeout',
    detail: 'idle_watchdog_timeout:http1_request_body:6ms',
    reply: { status: 408 },
  });
});

function refuse(text: string): void {
  refuseBareLineFeed(Buffer.from(text), 0);
}

test('a request line that ends in LF alone is refused as soon as it is seen', () => {
  expect(() => refuse('GET / HTTP/1.1\n')).toThrow('the request line ends in LF alone');
  for (const text of ['GET / HTTP/1.1', 'GET / HTTP/1.1\r\n']) expect(() => refuse(text)).not.toThrow();
});
