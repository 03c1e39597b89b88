// The building stones of the configuration schema: numbers with a unit and a range, texts, paths, and the switch that lets
// a rule across fields run although other fields are wrong. Every message here names the whole rule.
import { z } from 'zod';

/** The longest time a Node timer can wait, in milliseconds: about 24.8 days. */
export const maxTimerMs = 2 ** 31 - 1;

const kibibyte = 1024;
export const mebibyte = 1024 * kibibyte;
export const gibibyte = 1024 * mebibyte;

/** A whole number from `min` to `max`, both included; `unit` is the plural that messages use. */
export function wholeNumber(unit: string, min: number, max: number): z.ZodInt {
  const error = `must be a whole number of ${unit} from ${min} to ${max}`;
  return z.int({ error }).min(min, { error }).max(max, { error });
}

/** A time that a timer can wait. */
export function milliseconds(min = 1): z.ZodInt {
  return wholeNumber('milliseconds', min, maxTimerMs);
}

/** A size that is held in memory or on disk, from 1 byte on. */
export function bytes(max: number): z.ZodInt {
  return wholeNumber('bytes', 1, max);
}

/** A number of things, from 1 on; `unit` is their plural. */
export function count(unit: string, max: number): z.ZodInt {
  return wholeNumber(unit, 1, max);
}

/** A port that can be connected to: not 0. */
export function port(): z.ZodInt {
  const error = 'must be a port from 1 to 65535';
  return z.int({ error }).min(1, { error }).max(65_535, { error });
}

/** A text with at least one character that is not a space. */
export function text(): z.ZodString {
  return z.string().regex(/\S/u, { error: 'must not be empty or blank' });
}

/** The path of a file or socket, as the system takes it; relative paths count from the working directory. */
export function filePath(): z.ZodString {
  return text().refine((path) => !path.includes('\0'), { error: 'must not contain a NUL character' });
}

/** For `transform`: the value as `parse` reads it; what `parse` throws becomes the problem. */
export function readAs<In, Out>(
  parse: (value: In) => Out,
): (value: In, ctx: z.core.$RefinementCtx<In>) => Out {
  return (value, ctx) => {
    try {
      return parse(value);
    } catch (error) {
      ctx.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) });
      return z.NEVER;
    }
  };
}

/** A text that `parse` accepts, kept as written. */
export function readableBy(parse: (entry: string) => unknown): z.ZodString {
  const read = readAs(parse);
  return z.string().superRefine((entry, ctx) => void read(entry, ctx));
}

/**
 * For rules across fields: they run as soon as the fields they read are valid, whatever else is wrong, so that one parse
 * shows all problems.
 */
export function reading(...fields: readonly string[]): z.core.$ZodSuperRefineParams {
  return {
    when({ issues }) {
      return issues.every(({ code, path }) => {
        const field = path?.[0];
        return field === undefined ? code === 'unrecognized_keys' : !fields.includes(String(field));
      });
    },
  };
}
