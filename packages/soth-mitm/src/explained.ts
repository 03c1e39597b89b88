// What the packages below throw, as the errors that callers of the API know by their codes.
import { errorText, MitmError, type MitmErrorCode } from 'mitm-core';
import { EventLogError } from 'mitm-observe';
import { CaError } from 'mitm-tls';

/** @throws MitmError `code` in place of an error of an authority or an event log */
export async function explained<T>(code: MitmErrorCode, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw explanation(code, error);
  }
}

/** The error that callers are to meet; anything else than an error of an authority or an event log stays what it is. */
export function explanation(code: MitmErrorCode, error: unknown): unknown {
  if (error instanceof CaError) return new MitmError(code, error.message, { cause: error });
  if (error instanceof EventLogError) return new MitmError(code, errorText(error), { cause: error });
  return error;
}
