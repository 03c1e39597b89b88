import { expect, test } from 'vitest';

import { EventLogError, eventLogErrorCodes, openStep } from '../src/event-log-error.ts';

test('a step that fails names the path and keeps the cause', async () => {
  const cause = new Error('EACCES: permission denied');
  const failed = openStep('a/b', () => Promise.reject(cause));
  await expect(failed).rejects.toThrow(EventLogError);
  await expect(failed).rejects.toMatchObject({ code: 'open_failed', path: 'a/b', cause });
  await expect(failed).rejects.toThrow('"a/b": EACCES');
});

test('an error that names its path already passes as it is', async () => {
  const error = new EventLogError('leftovers', 'x', 'an earlier run left "x"');
  await expect(openStep('y', () => Promise.reject(error))).rejects.toBe(error);
  expect(await openStep('y', () => Promise.resolve(4))).toBe(4);
});

test('codes are told once', () => {
  expect(new Set(eventLogErrorCodes).size).toBe(eventLogErrorCodes.length);
});
