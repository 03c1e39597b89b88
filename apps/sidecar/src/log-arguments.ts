// Reads the command line of `soth-mitm log`: what to do with an event log that was written earlier.
import { readOptions, UsageError } from './usage.ts';

/** What `soth-mitm log` can do, in the order of the help text. */
export const logActions = {
  show: 'its records, a JSON line each; all, or from one on, or of one flow',
  verify: 'whether it is as it was written; the exit code is 26 if not',
  index: 'make its index again, from the log itself',
} as const;
type LogAction = keyof typeof logActions;

/** The options of `soth-mitm log`. */
export const logFlagTable = {
  from: { type: 'string', operand: 'N', text: 'show: the first sequence id that is wanted (1)' },
  flow: { type: 'string', operand: 'N', text: 'show: only records of this flow' },
  key: {
    type: 'string',
    multiple: true,
    operand: 'FILE',
    text: 'verify: the key of eventLog.hmacKeyPath; again for a further key',
  },
  index: { type: 'string', operand: 'FILE', text: 'its index, where that is not beside it' },
  help: { type: 'boolean', short: 'h', text: 'show this' },
} as const;

/** One call: what to do, with which log; what was not given is undefined. */
export interface LogFlags {
  readonly path: string;
  readonly from: number | undefined;
  readonly flow: number | undefined;
  readonly keys: readonly string[];
  readonly index: string | undefined;
}

export type LogCommand =
  | { readonly kind: 'help' }
  | { readonly kind: 'log'; readonly action: LogAction; readonly flags: LogFlags };

/**
 * Reads the arguments behind `log`.
 *
 * @throws UsageError that names the argument and what to write instead
 */
export function parseLogArguments(argv: readonly string[]): LogCommand {
  const { values, positionals } = readOptions(argv, logFlagTable);
  if (values.help === true) return { kind: 'help' };
  const [word, path, extra] = positionals;
  const choice = Object.keys(logActions).join(', ');
  if (word === undefined) throw new UsageError(`log needs a word behind it: choose one of ${choice}`);
  if (!isAction(word))
    throw new UsageError(`log ${JSON.stringify(word)} is nothing to do: choose one of ${choice}`);
  if (path === undefined) throw new UsageError(`log ${word} needs the file of the log behind it`);
  if (extra !== undefined) {
    throw new UsageError(`${JSON.stringify(extra)} belongs to no option: every value follows its --option`);
  }
  if (word === 'verify' && values.key === undefined)
    throw new UsageError('log verify needs --key FILE: the key that the log was written with');
  return {
    kind: 'log',
    action: word,
    flags: {
      path,
      from: parseCount('from', values.from),
      flow: parseCount('flow', values.flow),
      keys: values.key ?? [],
      index: values.index,
    },
  };
}

function isAction(word: string): word is LogAction {
  return Object.hasOwn(logActions, word);
}

function parseCount(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = /^\d+$/u.test(text) ? Number(text) : 0;
  if (value >= 1 && Number.isSafeInteger(value)) return value;
  throw new UsageError(`--${name} is ${JSON.stringify(text)}: give a whole number from 1`);
}
