import { expect, test } from 'vitest';

import { H2MessageError, h2MessageErrorCodes } from '../../src/h2/message-error.ts';

test('every code is a snake_case fact and stands once', () => {
  for (const code of h2MessageErrorCodes) expect(code).toMatch(/^[a-z\d]+(?:_[a-z\d]+)*$/);
  expect(new Set(h2MessageErrorCodes).size).toBe(h2MessageErrorCodes.length);
});

test('an error has the code of its rule and a message for people', () => {
  const error = new H2MessageError('invalid_path', 'what and why');
  expect(error).toBeInstanceOf(Error);
  expect(error).toMatchObject({ name: 'H2MessageError', code: 'invalid_path', message: 'what and why' });
});
