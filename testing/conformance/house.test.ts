// The house rules, one test each over the whole repository; and for each rule a planted violation, so that the gate can fail.
import { expect, test } from 'vitest';

import * as rules from './house-rules.ts';
import { readRepository, type RepositoryFile } from './workspace.ts';

const files = await readRepository();

interface Plant {
  readonly rule: (files: readonly RepositoryFile[]) => readonly string[];
  readonly path: string;
  readonly broken: string;
  readonly message: string;
  /** The nearest text that is still right, under the same path unless said. */
  readonly sound: string;
  readonly soundPath?: string;
}

const source = 'packages/mitm-core/src/flow.ts';

function functionOf(lineCount: number): string {
  return `export class A {\n  b(): void {\n${'    f();\n'.repeat(lineCount - 2)}  }\n}\n`;
}

const plants: Readonly<Record<string, Plant>> = {
  'a source file has at most 400 lines': {
    rule: rules.longFiles,
    path: source,
    broken: '//\n'.repeat(401),
    message: '401 lines',
    sound: '//\n'.repeat(400),
  },
  'a test file has at most 400 lines': {
    rule: rules.longFiles,
    path: 'testing/acceptance/streams.test.ts',
    broken: '//\n'.repeat(401),
    message: '401 lines',
    sound: '//\n'.repeat(400),
  },
  'a function has at most 60 lines': {
    rule: rules.longFunctions,
    path: source,
    broken: functionOf(61),
    message: ':2: a function of 61 lines',
    sound: functionOf(60),
  },
  'a source file opens with a comment': {
    rule: rules.silentFiles,
    path: 'apps/sidecar/src/main.ts',
    broken: '#!/usr/bin/env node\nexport {};\n// too late\n',
    message: 'does not say what it is for',
    sound: '#!/usr/bin/env node\n// The program.\nexport {};\n',
  },
  'packages do not use the console': {
    rule: rules.consoleUses,
    path: source,
    broken: 'globalThis.console.log(1);',
    message: 'uses the console',
    sound: '// console.log(1)\nlogger.info("console.log(1)");',
  },
  'there is no default export': {
    rule: rules.defaultExports,
    path: source,
    broken: 'const a = 1;\nexport { a as default };',
    message: 'has a default export',
    sound: 'export const a = 1; // export default a',
  },
  "a package's index holds re-exports only": {
    rule: rules.codeInIndexes,
    path: 'packages/mitm-core/src/index.ts',
    broken: "export { a } from './a.ts';\nexport const b = 1;",
    message: 'more than re-exports',
    sound: "import './first.ts';\nexport { a } from './a.ts';\nexport type { B } from './b.ts';",
  },
  'an index names what it exports': {
    rule: rules.codeInIndexes,
    path: 'packages/mitm-core/src/index.ts',
    broken: "export * from './a.ts';",
    message: 'more than re-exports',
    sound: 'export {};',
  },
  'packages keep no state in modules': {
    rule: rules.moduleState,
    path: source,
    broken: 'export let count = 0;',
    message: 'count is mutable module state',
    sound: 'export const limit = 1;\nfunction f() { let local = 0; return local; }',
  },
  'file names say something': {
    rule: rules.emptyNames,
    path: 'packages/mitm-core/src/flow-utils.ts',
    broken: '',
    message: 'says nothing',
    sound: '',
    soundPath: 'packages/mitm-tls/src/common-name.ts',
  },
  'folder names say something': {
    rule: rules.emptyNames,
    path: 'packages/mitm-core/src/common/flow.ts',
    broken: '',
    message: 'says nothing',
    sound: '',
    soundPath: 'packages/mitm-core/test/config/flow.integration.test.ts',
  },
  'file names are kebab-case': {
    rule: rules.emptyNames,
    path: 'packages/mitm-core/src/flowState.ts',
    broken: '',
    message: 'not kebab-case',
    sound: '',
    soundPath: 'packages/mitm-core/src/flow-state.ts',
  },
  'no registry is named': {
    rule: rules.foreignPlaces,
    path: 'docs/a.md',
    broken: ['one\nhttps://registry', 'npmjs', 'org/x'].join('.'),
    message: 'docs/a.md:2: registry.',
    sound: 'the npm registry',
  },
  "nobody's home folder is named": {
    rule: rules.foreignPlaces,
    path: 'scripts/a.ts',
    broken: ['see /home', 'ada', 'code'].join('/'),
    message: 'scripts/a.ts:1: ',
    sound: 'GET https://api.example.test/home/page and /home',
  },
  'a test file expects something': {
    rule: rules.idleTests,
    path: 'packages/mitm-core/test/a.test.ts',
    broken: "test('expect(1)', () => { run(); }); // expect(1)",
    message: 'expects nothing',
    sound: "test('a law', () => { fc.assert(law); });",
  },
};

const rows = Object.entries(plants);

test('the rules see the sources of every package', () => {
  expect(files.filter(({ path }) => /^packages\/[^/]+\/src\//.test(path)).length).toBeGreaterThanOrEqual(7);
  expect(files.some(({ path }) => path.includes('node_modules/') || path.includes('/dist/'))).toBe(false);
});

test.each(rows)('%s', (_name, { rule }) => {
  expect(rule(files)).toEqual([]);
});

test('every source file has its test file', () => {
  expect(rules.missingTests(files)).toEqual([]);
});

test('every exception from that is still needed, and says why', () => {
  expect(rules.staleExceptions(files)).toEqual([]);
  expect(Object.values(rules.untestedSources).filter((reason) => reason.length < 20)).toEqual([]);
});

test.each(rows)(
  'the gate can fail: %s',
  (_name, { rule, path, broken, message, sound, soundPath = path }) => {
    expect(rule([{ path, text: broken }])).toEqual([expect.stringContaining(message)]);
    expect(rule([{ path: soundPath, text: sound }])).toEqual([]);
  },
);

test('the gate can fail: a source without a test file, and an exception that is none', () => {
  const untested = [{ path: 'packages/mitm-core/src/config/tls.ts', text: '' }];
  expect(rules.missingTests(untested)).toEqual([
    'packages/mitm-core/src/config/tls.ts: no packages/mitm-core/test/config/tls.test.ts',
  ]);
  const tested = [...untested, { path: 'packages/mitm-core/test/config/tls.test.ts', text: '' }];
  expect(rules.missingTests(tested)).toEqual([]);
  const listed = {
    'packages/mitm-core/src/config/tls.ts': 'planted',
    'packages/mitm-core/src/gone.ts': 'planted',
  };
  expect(rules.staleExceptions(tested, listed)).toEqual([
    'packages/mitm-core/src/config/tls.ts: listed, but tested',
    'packages/mitm-core/src/gone.ts: listed, but not there',
  ]);
});
