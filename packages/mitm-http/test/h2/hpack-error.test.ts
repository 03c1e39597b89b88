import { describe, expect, test } from 'vitest';

import { HpackError, hpackErrorCodes } from '../../src/h2/hpack-error.ts';

describe('HpackError', () => {
  test.each(hpackErrorCodes)('%s is carried as the code', (code) => {
    const error = new HpackError(code, 'what was wrong');
    expect(error).toBeInstanceOf(Error);
    expect({ name: error.name, code: error.code, message: error.message }).toEqual({
      name: 'HpackError',
      code,
      message: 'what was wrong',
    });
  });

  test('no code is listed twice', () => {
    expect(new Set(hpackErrorCodes).size).toBe(hpackErrorCodes.length);
  });
});
