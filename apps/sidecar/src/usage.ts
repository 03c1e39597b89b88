// Splits a command line into options and words, by a table of options. What is wrong with it becomes one sentence.
import { parseArgs, type ParseArgsOptionsConfig } from 'node:util';

/** A command line that cannot be understood; the message is one sentence. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

type Read<Options extends ParseArgsOptionsConfig> = ReturnType<
  typeof parseArgs<{ options: Options; allowPositionals: true }>
>;

/**
 * Reads arguments by a table of options.
 *
 * @throws UsageError for an option that is unknown, lacks its value, or has an empty one
 */
export function readOptions<const Options extends ParseArgsOptionsConfig>(
  argv: readonly string[],
  options: Options,
): Read<Options> {
  const read = split(argv, options);
  for (const [name, value] of Object.entries<unknown>(read.values)) requireText(name, value);
  return read;
}

function split<const Options extends ParseArgsOptionsConfig>(
  argv: readonly string[],
  options: Options,
): Read<Options> {
  try {
    return parseArgs({ args: [...argv], options, allowPositionals: true });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new UsageError(usageSentence(error.message), { cause: error });
  }
}

/** The platform's first sentence; what follows it is advice on syntax that this program does not have. */
function usageSentence(message: string): string {
  const [sentence = message] = message.split(/\.(?:\s|$)|\n/u);
  return `${sentence.charAt(0).toLowerCase()}${sentence.slice(1)}: soth-mitm --help lists the options`;
}

function requireText(name: string, value: unknown): void {
  const values: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (values.some((item) => typeof item === 'string' && item.trim() === '')) {
    throw new UsageError(`--${name} has an empty value: give one, or leave the option out`);
  }
}
