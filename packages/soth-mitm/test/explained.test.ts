import { MitmError } from 'mitm-core';
import { EventLogError } from 'mitm-observe';
import { CaError } from 'mitm-tls';
import { describe, expect, test } from 'vitest';

import { explained, explanation } from '../src/explained.ts';

describe('an error of a package below', () => {
  test.each([
    ['an authority', new CaError('OPERATION_FAILED', 'no such file', {}), 'no such file'],
    [
      'an event log',
      new EventLogError('leftovers', 'e.jsonl', 'a log is there'),
      'leftovers: a log is there',
    ],
  ])('of %s becomes one of the API, with its cause', async (_what, cause, message) => {
    const work = explained('ERR_MITM_STOPPED', () => Promise.reject(cause));
    await expect(work).rejects.toBeInstanceOf(MitmError);
    await expect(work).rejects.toMatchObject({ code: 'ERR_MITM_STOPPED', message, cause });
  });

  test('of any other kind stays what it is', () => {
    const error = new TypeError('a fault of ours');
    expect(explanation('ERR_MITM_STOPPED', error)).toBe(error);
  });
});

test('what succeeds is passed on', async () => {
  await expect(explained('ERR_MITM_STOPPED', () => Promise.resolve(7))).resolves.toBe(7);
});
