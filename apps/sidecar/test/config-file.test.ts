import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { type TemporaryDirectory, temporaryDirectory } from '../../../testing/lab/temporary.ts';
import { ConfigFileError, isRecord, parseConfigText, readConfigFile } from '../src/config-file.ts';

let folder: TemporaryDirectory;
beforeAll(async () => {
  folder = await temporaryDirectory();
});
afterAll(async () => {
  await folder[Symbol.asyncDispose]();
});

describe('a file is what its name says', () => {
  test.each([
    ['JSON', 'a.json', '{"bind": "127.0.0.1:0"}', { bind: '127.0.0.1:0' }],
    [
      'YAML',
      'a.yaml',
      'interception:\n  destinations: ["*:*"]\n',
      { interception: { destinations: ['*:*'] } },
    ],
    ['YAML by its short ending', 'a.yml', 'http2Enabled: false', { http2Enabled: false }],
    ['an ending in capitals', 'A.JSON', '{}', {}],
    ['a byte order mark', 'a.json', '\uFEFF{}', {}],
    ['an empty YAML file', 'a.yaml', '# nothing yet\n', {}],
  ])('%s', (_rule, path, text, value) => {
    expect(parseConfigText(path, text)).toEqual(value);
  });
});

describe('a syntax error names file, line and column', () => {
  test.each([
    [
      'a comma too many',
      'a.json',
      '{\n  "bind": "x",\n}',
      'a.json, line 3, column 1: not valid JSON: unexpected "}"',
    ],
    [
      'a text cut off',
      'a.json',
      '{\n  "bind":',
      'a.json, line 2, column 10: not valid JSON: the text ends too early',
    ],
    [
      'a key twice',
      'a.yaml',
      'bind: a\nbind: b\n',
      'a.yaml, line 2, column 1: not valid YAML: Map keys must be unique',
    ],
    ['a tab', 'a.yml', 'tls:\n\tminVersion: x\n', 'a.yml, line 2, column 1: not valid YAML'],
    [
      'two documents',
      'a.yaml',
      'a: 1\n---\nb: 2\n',
      'a.yaml, line 2, column 1: not valid YAML: a second document',
    ],
  ])('%s', (_rule, path, text, message) => {
    const attempt = (): unknown => parseConfigText(path, text);
    expect(attempt).toThrow(ConfigFileError);
    expect(attempt).toThrow(message);
    expect(attempt).not.toThrow('\n');
  });
});

describe('what is no configuration is refused in a sentence', () => {
  test.each([
    ['a list', 'a.json', '[]', 'must hold an object'],
    ['a text', 'a.yaml', 'hello', 'must hold an object'],
    ['an alias of nothing', 'a.yaml', 'a: *b', 'not valid YAML'],
    ['an unknown ending', 'a.toml', '', '.json, .yaml or .yml'],
    ['no ending', 'config', '', '.json, .yaml or .yml'],
  ])('%s', (_rule, path, text, message) => {
    expect(() => parseConfigText(path, text)).toThrow(message);
  });
});

test('aliases that would multiply without end are refused', () => {
  const rows = Array.from({ length: 12 }, (_, row) =>
    row === 0
      ? 'k0: &k0 [x]'
      : `k${row}: &k${row} [${Array.from({ length: 9 }, () => `*k${row - 1}`).join(', ')}]`,
  );
  expect(() => parseConfigText('a.yaml', rows.join('\n'))).toThrow(ConfigFileError);
});

test('a file is read from disk', async () => {
  const path = await folder.write('good.yaml', 'bind: 127.0.0.1:0\n');
  expect(await readConfigFile(path)).toEqual({ bind: '127.0.0.1:0' });
});

test.each([
  ['a missing file', 'none.json', 'there is no such file'],
  ['a folder', '', 'EISDIR'],
])('%s is told in a sentence', async (_rule, name, message) => {
  await expect(readConfigFile(folder.resolve(name))).rejects.toThrow(message);
});

test.each([
  [{}, true],
  [[], false],
  [null, false],
  ['text', false],
])('%j has named fields: %s', (value, answer) => {
  expect(isRecord(value)).toBe(answer);
});
