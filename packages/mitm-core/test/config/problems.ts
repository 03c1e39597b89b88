import { parseConfig } from '../../src/config/parse.ts';
// What the tests of the configuration share: a valid configuration to start from, and its problems as readable lines.
import { ConfigError } from '../../src/errors.ts';

/** The least that a configuration must say. */
export const minimal = { interception: { destinations: ['api.example.org:443'] } };

/** The problems of the minimal configuration with these fields added or replaced, as `path: message`. */
export function problemsWith(fields: object): readonly string[] {
  return problemsOf({ ...minimal, ...fields });
}

/** The problems of exactly this input; none when it is valid. */
export function problemsOf(input: unknown): readonly string[] {
  try {
    parseConfig(input);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(({ path, message }) => `${path}: ${message}`);
  }
}
