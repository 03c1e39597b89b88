import { expect, test } from 'vitest';

import { HttpError, httpErrorCodes, quoted } from '../src/errors.ts';

test('every code is a snake_case fact and has a status that a proxy may answer with', () => {
  for (const code of httpErrorCodes) {
    expect(code).toMatch(/^[a-z\d]+(?:_[a-z\d]+)+$/);
    expect([400, 417, 431, 500, 501, 502, 505]).toContain(new HttpError(code, 'text').status);
  }
  expect(new Set(httpErrorCodes).size).toBe(httpErrorCodes.length);
});

test.each([
  ['unknown_transfer_coding', 501],
  ['unsupported_http_version', 505],
  ['head_too_large', 431],
  ['unknown_expectation', 417],
  ['conflicting_framing', 400],
] as const)('%s is answered with %i', (code, status) => {
  const error = new HttpError(code, 'what and why');
  expect(error).toMatchObject({ name: 'HttpError', code, status, message: 'what and why' });
});

test('received text is quoted: control characters escaped, cut at 80 characters', () => {
  expect(quoted('a\r\n"b"')).toBe(String.raw`"a\r\n\"b\""`);
  expect(quoted('x'.repeat(81))).toBe(`"${'x'.repeat(80)}…"`);
});
