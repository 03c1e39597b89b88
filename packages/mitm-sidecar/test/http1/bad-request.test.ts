// A malformed request becomes one answer that says what is wrong.
import { HttpError, type HttpErrorCode } from 'mitm-http';
import { describe, expect, test } from 'vitest';

import { badRequest } from '../../src/http1/bad-request.ts';

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
