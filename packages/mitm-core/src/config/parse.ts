// The door of the configuration: unknown data in, a complete frozen configuration out, or an error that names every
// problem. Nothing is read from disk, and what the caller passes is never changed.
import { ConfigError } from '../errors.ts';
import { deepFreeze } from './freeze.ts';
import { issueText, problemsOf } from './problem.ts';
import { configSchema, type MitmConfig } from './schema.ts';

/**
 * Checks a configuration and fills in all defaults. The result is deeply frozen, shares nothing with the input, and is
 * itself valid input that gives the same result again.
 * @throws {ConfigError} with all problems, in the order of the schema.
 */
export function parseConfig(input: unknown): MitmConfig {
  const result = configSchema.safeParse(input, { error: issueText, reportInput: true });
  if (!result.success) throw new ConfigError(problemsOf(result.error.issues));
  return deepFreeze(result.data);
}
