// Bounds a wait. Every wait in a test goes through here, so that a hang becomes a failure that says what was awaited.

/** The deadline that lab resources use when the test names none. */
export const defaultDeadlineMs = 5_000;

/** What {@link within} rejects with when the time is up. */
export class DeadlineError extends Error {
  override readonly name = 'DeadlineError';

  constructor(what: string, ms: number) {
    super(`${what} did not happen within ${ms} ms`);
  }
}

/**
 * The promise's own outcome, or a {@link DeadlineError} after `ms` milliseconds. `what` is a noun phrase for the message
 * ("the answer's head"); a function is asked at the moment of failure, so that it can describe what did arrive.
 */
export async function within<T>(promise: Promise<T>, ms: number, what: string | (() => string)): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new DeadlineError(typeof what === 'string' ? what : what(), ms));
    }, ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
