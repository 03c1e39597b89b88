// The logger that packages write to: the caller's, pino's, or silence. Credentials in the usual places are never written.
import { pino, type DestinationStream } from 'pino';

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof logLevels)[number];

/** Writes one line: its facts first, then a message that stays the same from line to line. */
export interface LogMethod {
  (fields: object, message?: string): void;
  (message: string): void;
}

/** The part of pino's logger that packages use. */
export type Logger = Readonly<Record<LogLevel, LogMethod>> & {
  /** A logger that adds these fields to each of its lines. */
  child(fields: Record<string, unknown>): Logger;
};

export interface LoggerOptions {
  /** The least level that is written; `info` when absent. `silent` writes nothing. */
  readonly level?: LogLevel | 'silent' | undefined;
  /** Where lines go; standard output when absent. */
  readonly destination?: DestinationStream | undefined;
}

function writeNothing(): void {}

/** A logger that writes nothing. */
export const silentLogger: Logger = Object.freeze({
  trace: writeNothing,
  debug: writeNothing,
  info: writeNothing,
  warn: writeNothing,
  error: writeNothing,
  child: () => silentLogger,
});

/** Header fields whose values are credentials, as they are spelled on the wire. */
const secretHeaders = ['Authorization', 'Proxy-Authorization', 'Cookie', 'Set-Cookie', 'X-Api-Key'] as const;

/** As a field of the line, and one and two levels down, as in `{ request: { headers: { cookie } } }`. */
const secretDepths = ['', '*', '*.*'] as const;

const redactedPaths = secretDepths.flatMap((depth) =>
  secretHeaders
    .flatMap((name) => [name, name.toLowerCase()])
    .map((name) =>
      name.includes('-') ? `${depth}["${name}"]` : `${depth}${depth === '' ? '' : '.'}${name}`,
    ),
);

/** A pino logger that writes JSON lines and replaces credentials by `[redacted]`. */
export function createLogger(options: LoggerOptions = {}): Logger {
  const settings = {
    level: options.level ?? 'info',
    base: null,
    redact: { paths: redactedPaths, censor: '[redacted]' },
  };
  return options.destination === undefined ? pino(settings) : pino(settings, options.destination);
}
