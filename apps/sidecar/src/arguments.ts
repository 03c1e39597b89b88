// Reads the command line: which command, and which options with their types. Values that the configuration schema judges,
// such as addresses, pass through as they are.
import { type CaCommand, parseCaArguments } from './ca-arguments.ts';
import { flagTable, type LogLevel, logLevels } from './flags.ts';
import { type LogCommand, parseLogArguments } from './log-arguments.ts';
import { readOptions, UsageError } from './usage.ts';

/** The options of `run`; what was not given is undefined or an empty list. */
export interface RunFlags {
  readonly config: string | undefined;
  readonly listen: string | undefined;
  readonly unixSocket: string | undefined;
  readonly intercept: readonly string[];
  readonly caCert: string | undefined;
  readonly caKey: string | undefined;
  readonly upstreamCa: readonly string[];
  readonly useEnvProxy: boolean;
  readonly eventLog: string | undefined;
  readonly admin: string | undefined;
  readonly statusFile: string | undefined;
  readonly graceMs: number;
  readonly logLevel: LogLevel;
  readonly demo: boolean;
  readonly once: boolean;
}

export type Command =
  | CaCommand
  | LogCommand
  | { readonly kind: 'version' }
  | { readonly kind: 'run'; readonly flags: RunFlags };

const defaultGraceMs = 10_000;
/** What a Node timer can wait. */
const longestGraceMs = 2_147_483_647;

/**
 * Reads the arguments behind the program's name.
 *
 * @throws UsageError that names the argument and what to write instead
 */
export function parseArguments(argv: readonly string[]): Command {
  if (argv[0] === 'ca') return parseCaArguments(argv.slice(1));
  if (argv[0] === 'log') return parseLogArguments(argv.slice(1));
  const { values, positionals } = readOptions(argv, flagTable);
  if (values.help === true || argv.length === 0) return { kind: 'help' };
  if (values.version === true) return { kind: 'version' };
  const [command, extra] = positionals;
  if (command === undefined)
    throw new UsageError('the command is missing: write soth-mitm run and then the options');
  if (command !== 'run')
    throw new UsageError(`${JSON.stringify(command)} is no command here: begin with run, ca or log`);
  if (extra !== undefined) {
    throw new UsageError(`${JSON.stringify(extra)} belongs to no option: every value follows its --option`);
  }
  return {
    kind: 'run',
    flags: {
      config: values.config,
      listen: values.listen,
      unixSocket: values['unix-socket'],
      intercept: values.intercept ?? [],
      caCert: values['ca-cert'],
      caKey: values['ca-key'],
      upstreamCa: values['upstream-ca'] ?? [],
      useEnvProxy: values['use-env-proxy'] === true,
      eventLog: values['event-log'],
      admin: values.admin,
      statusFile: values['status-file'],
      graceMs: parseGrace(values['grace-ms']),
      logLevel: parseLevel(values['log-level']),
      demo: values.demo === true || values.once === true,
      once: values.once === true,
    },
  };
}

function parseGrace(text: string | undefined): number {
  if (text === undefined) return defaultGraceMs;
  const graceMs = /^\d+$/u.test(text) ? Number(text) : Number.NaN;
  if (graceMs <= longestGraceMs) return graceMs;
  throw new UsageError(
    `--grace-ms is ${JSON.stringify(text)}: give milliseconds as a whole number from 0 to ${longestGraceMs}`,
  );
}

function parseLevel(text: string | undefined): LogLevel {
  if (text === undefined) return 'warn';
  const level = logLevels.find((name) => name === text);
  if (level !== undefined) return level;
  throw new UsageError(`--log-level is ${JSON.stringify(text)}: choose one of ${logLevels.join(', ')}`);
}
