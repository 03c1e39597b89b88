// Reads the configuration file: JSON or YAML, told apart by the name's ending. What it holds is judged elsewhere; here only
// whether it can be read, with file, line and column when it can't.
import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';

import { parseDocument } from 'yaml';

import { jsonErrorIndex, placeAt, type TextPlace } from './json-syntax.ts';

/** A configuration file that cannot be read; the message is one sentence that names it. */
export class ConfigFileError extends Error {
  override readonly name = 'ConfigFileError';
}

/**
 * The content of a configuration file. An empty YAML file is an empty configuration.
 *
 * @throws ConfigFileError when it is missing, unreadable, of an unknown kind, or not what its ending says
 */
export async function readConfigFile(path: string): Promise<Readonly<Record<string, unknown>>> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : error;
    const advice = code === 'ENOENT' ? 'there is no such file' : `it cannot be read (${String(code)})`;
    throw new ConfigFileError(`${path}: ${advice}; check the path given to --config`, { cause: error });
  }
  return parseConfigText(path, text);
}

/**
 * The value that a file's text stands for.
 *
 * @throws ConfigFileError with line and column
 */
export function parseConfigText(path: string, text: string): Readonly<Record<string, unknown>> {
  const clean = text.replace(/^\uFEFF/u, '');
  const value = parserFor(path)(path, clean);
  if (isRecord(value)) return value;
  throw new ConfigFileError(`${path}: the file must hold an object with named fields, such as interception`);
}

type Parser = (path: string, text: string) => unknown;

function parserFor(path: string): Parser {
  const ending = extname(path).toLowerCase();
  if (ending === '.json') return parseJson;
  if (ending === '.yaml' || ending === '.yml') return parseYaml;
  throw new ConfigFileError(`${path}: the name does not tell the format; let it end in .json, .yaml or .yml`);
}

function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const index = jsonErrorIndex(text);
    const found = text.codePointAt(index);
    const fault =
      found === undefined
        ? 'the text ends too early'
        : `unexpected ${JSON.stringify(String.fromCodePoint(found))}`;
    throw syntaxError({ path, format: 'JSON', place: placeAt(text, index), fault, cause: error });
  }
}

function parseYaml(path: string, text: string): unknown {
  const document = parseDocument(text);
  const [error] = document.errors;
  if (error !== undefined) {
    const [start] = error.linePos ?? [];
    const fault = (error.message.split('\n')[0] ?? '').replace(/ at line \d+, column \d+:$/u, '');
    throw syntaxError({
      path,
      format: 'YAML',
      place: { line: start?.line ?? 1, column: start?.col ?? 1 },
      fault: error.code === 'MULTIPLE_DOCS' ? 'a second document begins here; one is allowed' : fault,
      cause: error,
    });
  }
  try {
    return document.toJS() ?? {};
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigFileError(`${path}: not valid YAML: ${detail}`, { cause });
  }
}

interface SyntaxFault {
  readonly path: string;
  readonly format: string;
  readonly place: TextPlace;
  readonly fault: string;
  readonly cause: unknown;
}

function syntaxError({ path, format, place, fault, cause }: SyntaxFault): ConfigFileError {
  return new ConfigFileError(
    `${path}, line ${place.line}, column ${place.column}: not valid ${format}: ${fault}`,
    { cause },
  );
}

/** Whether a value has named fields. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
