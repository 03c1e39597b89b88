// The options of `soth-mitm run` as one table: the argument reader and the help text are made of it, so that neither can
// know an option that the other does not.
import { caActions, caFlagTable } from './ca-arguments.ts';
import { logActions, logFlagTable } from './log-arguments.ts';

/** What `--log-level` takes, from the most to the least talkative. */
export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

interface Flag {
  readonly type: 'string' | 'boolean';
  readonly multiple?: true;
  readonly short?: string;
  /** What follows the flag, as the help text writes it. */
  readonly operand?: string;
  readonly text: string;
}

/** Every option, in the order of the help text. */
export const flagTable = {
  config: {
    type: 'string',
    operand: 'FILE',
    text: 'configuration, .json or .yaml, with the camelCase names of the API',
  },
  listen: {
    type: 'string',
    operand: 'HOST:PORT',
    text: 'where to listen (127.0.0.1:8080; port 0 takes any)',
  },
  'unix-socket': {
    type: 'string',
    operand: 'PATH',
    text: 'listen on this Unix socket as well',
  },
  intercept: {
    type: 'string',
    multiple: true,
    operand: 'HOST:PORT',
    text: 'intercept this; repeatable, replaces the list of the file (*:*)',
  },
  'ca-cert': { type: 'string', operand: 'FILE', text: 'certificate of the CA (.soth-mitm/ca.pem)' },
  'ca-key': { type: 'string', operand: 'FILE', text: 'private key of the CA (.soth-mitm/ca-key.pem)' },
  'upstream-ca': {
    type: 'string',
    multiple: true,
    operand: 'FILE',
    text: 'trust origins signed by this CA too; repeatable, adds to the file',
  },
  'use-env-proxy': {
    type: 'boolean',
    text: 'go on through the proxy of HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY',
  },
  'event-log': { type: 'string', operand: 'FILE', text: 'write every event to this file, a JSON line each' },
  admin: { type: 'string', operand: 'HOST:PORT', text: 'answer /metrics and /healthz there (nowhere)' },
  'status-file': { type: 'string', operand: 'FILE', text: 'append the status lines to this file' },
  'grace-ms': {
    type: 'string',
    operand: 'N',
    text: 'time to finish what is in progress when stopped (10000)',
  },
  'log-level': { type: 'string', operand: 'LEVEL', text: `${logLevels.join(', ')} (warn)` },
  demo: { type: 'boolean', text: 'send a request through, show it, then a line for each flow' },
  once: { type: 'boolean', text: 'the demo without waiting: port 0, stop after that request' },
  help: { type: 'boolean', short: 'h', text: 'show this' },
  version: { type: 'boolean', text: 'show the version' },
} as const satisfies Readonly<Record<string, Flag>>;

/** The text that `--help` prints. */
export function helpText(): string {
  return [
    'soth-mitm: an intercepting proxy',
    '',
    'Usage: soth-mitm run [options]',
    '       soth-mitm ca ACTION [options]',
    '       soth-mitm log ACTION FILE [options]',
    '',
    'Options of run:',
    ...columns(optionRows(flagTable)),
    '',
    'Actions of ca:',
    ...columns(Object.entries(caActions)),
    '',
    'Options of ca:',
    ...columns(optionRows(caFlagTable)),
    '',
    'Actions of log:',
    ...columns(Object.entries(logActions)),
    '',
    'Options of log:',
    ...columns(optionRows(logFlagTable)),
    '',
    'A flag goes before the environment, the environment before the file, the file before the default.',
    'SIGINT and SIGTERM let exchanges finish, a second one stops at once, SIGHUP reads the file again.',
    '',
    'Try it: soth-mitm run --demo',
    '',
  ].join('\n');
}

type Row = readonly [left: string, right: string];

function optionRows(table: Readonly<Record<string, Flag>>): readonly Row[] {
  return Object.entries(table).map(([name, { operand, text }]) => [
    `--${name}${operand === undefined ? '' : ` ${operand}`}`,
    text,
  ]);
}

function columns(rows: readonly Row[]): readonly string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
}
