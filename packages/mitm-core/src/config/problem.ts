// Turns what zod reports into problems that users can act on: a dotted path, one sentence, and what was given.
import { inspect } from 'node:util';

import type { z } from 'zod';

import type { ConfigProblem } from '../errors.ts';
import { configFields, keysAt } from './fields.ts';
import { explainUnknownKey } from './names.ts';

/** Fields whose values never appear in messages. */
const secretFields: ReadonlySet<PropertyKey> = new Set(['username', 'password', 'caKeyPassphrase']);
const maxShownLength = 80;

/** The sentence for an issue whose schema has none of its own. */
export function issueText(issue: z.core.$ZodRawIssue): string {
  if (issue.code === 'invalid_value') return `must be one of ${issue.values.map(String).join(', ')}`;
  if (issue.code !== 'invalid_type') return `is not valid (${issue.code})`;
  if (issue.input === undefined) return 'is required';
  const hint = issue.input === null ? '; leave the key out to get the default' : '';
  return `must be ${typeNames[issue.expected] ?? issue.expected}${hint}`;
}

const typeNames: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object with named fields',
};

/** All issues as problems, each once. */
export function problemsOf(issues: readonly z.core.$ZodIssue[]): readonly ConfigProblem[] {
  const problems = new Map<string, ConfigProblem>();
  for (const issue of issues) {
    const found = issue.code === 'unrecognized_keys' ? unknownKeys(issue) : [problemOf(issue)];
    for (const problem of found) {
      const key = `${problem.path}\n${problem.message}`;
      if (!problems.has(key)) problems.set(key, problem);
    }
  }
  return [...problems.values()];
}

/** `['a', 1, 'b']` as `a[1].b`. */
export function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, step) => {
    if (typeof step === 'number') return `${text}[${step}]`;
    return text === '' ? String(step) : `${text}.${String(step)}`;
  }, '');
}

function problemOf({ path, message, input }: z.core.$ZodIssue): ConfigProblem {
  const place = { path: pathText(path), message };
  if (input === undefined || path.some((step) => secretFields.has(step))) return place;
  return { ...place, received: shown(input) };
}

function unknownKeys({ path, keys }: z.core.$ZodIssueUnrecognizedKeys): ConfigProblem[] {
  const parent = pathText(path);
  const siblings = keysAt(path);
  const fieldPaths = configFields().map((field) => field.path);
  return keys.map((key) => ({
    path: pathText([...path, key]),
    message: explainUnknownKey(key, { parent, siblings, fieldPaths }),
  }));
}

/** Objects and lists are only named: what is in them can be long, or secret. */
function shown(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : `a list of ${value.length}`;
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'object' && value !== null) return 'an object';
  return inspect(value, { maxStringLength: maxShownLength, breakLength: Number.POSITIVE_INFINITY });
}
