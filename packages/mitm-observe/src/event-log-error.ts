// What can be wrong with the files of an event log, for whoever opens or reads one.

/** Every code of an {@link EventLogError} and what it means. */
export const eventLogErrorCodes = [
  'path_empty',
  'path_shared',
  'leftovers',
  'key_unusable',
  'open_failed',
  'line_unreadable',
  'chain_unreadable',
] as const;
export type EventLogErrorCode = (typeof eventLogErrorCodes)[number];

/** An event log that could not be opened or read. The message names the path. */
export class EventLogError extends Error {
  readonly code: EventLogErrorCode;
  readonly path: string;

  constructor(code: EventLogErrorCode, path: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'EventLogError';
    this.code = code;
    this.path = path;
  }
}

/** Runs a step of opening a log; what it throws becomes an {@link EventLogError} that names the path. */
export async function openStep<T>(
  path: string,
  step: () => Promise<T>,
  code: 'open_failed' | 'key_unusable' = 'open_failed',
): Promise<T> {
  try {
    return await step();
  } catch (error) {
    if (error instanceof EventLogError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    const message = `the event log cannot use ${JSON.stringify(path)}: ${reason}`;
    throw new EventLogError(code, path, message, { cause: error });
  }
}
