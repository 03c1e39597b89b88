// The rules of the house that a machine can judge, as functions from files to violations. A rule knows no exception that is not
// written here with its reason.
import { posix } from 'node:path';

import { syntaxOf } from './syntax.ts';
import type { RepositoryFile } from './workspace.ts';

type Rule = (files: readonly RepositoryFile[]) => readonly string[];

/** The most lines that a file of TypeScript may have, be it source or test. */
const maxFileLineCount = 400;

/** The most lines that a function may have, from its first to its last. */
const maxFunctionLineCount = 60;

/** Sources without a test file of their own, and why. `src/index.ts` of a package holds re-exports only, which is a rule below. */
export const untestedSources: Readonly<Record<string, string>> = {
  'packages/mitm-core/src/exchange-facts.ts': 'types only: the exchange is tested with them',
  'packages/mitm-http/src/h2/session-counts.ts': 'plain numbers: the session is tested to count them',
  'packages/mitm-http/src/h2/session-types.ts': 'types only: the session is tested with them',
  'packages/mitm-observe/src/tls-event-fields.ts': 'types only: the events are tested with them',
  'packages/mitm-sidecar/src/arrival/way-in.ts': 'types and one constant: the listeners are tested with them',
  'packages/mitm-sidecar/src/process/source.ts':
    'types only: the sources and the lookup are tested with them',
  'packages/mitm-sidecar/src/upstream/acquire.ts': 'types only: the pool is tested with them',
  'packages/mitm-sidecar/src/relay/sides.ts':
    'types only: the HTTP/1 sides and the relay between them have tests',
  'packages/mitm-sidecar/src/runtime.ts': 'types only: the proxy server makes one and is tested with it',
  'packages/soth-mitm/src/contract.ts': 'types only: the proxy that it describes is tested',
};

const forbiddenStems = new Set(['common']);
const forbiddenWords = new Set(['helper', 'helpers', 'impl', 'manager', 'misc', 'util', 'utils']);
const kebabName = /^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.(?:test|integration\.test|config))?\.ts$/;

// Written in two halves, so that this file does not break its own rule.
const registryHosts = [
  ['registry.npm', 'js.org'],
  ['registry.yarn', 'pkg.com'],
  ['deb.deb', 'ian.org'],
  ['pypi', '.org'],
  ['static.crates', '.io'],
  ['proxy.golang', '.org'],
].map((halves) => halves.join(''));
const homePath = /(?<![\w.])(?:\/home\/[a-z][\w-]*\/|\/Users\/[A-Za-z][\w-]*\/|[A-Z]:\\+Users\\+)/;

function lineCountOf(text: string): number {
  return text.split('\n').length - (text.endsWith('\n') ? 1 : 0);
}

function isTypeScript({ path }: RepositoryFile): boolean {
  return /^(?:packages|apps|testing|scripts)\/.+\.ts$/.test(path);
}

function isSource({ path }: RepositoryFile): boolean {
  return /^(?:packages|apps)\/[^/]+\/src\/.+\.ts$/.test(path);
}

function isExample({ path }: RepositoryFile): boolean {
  return path.startsWith('apps/examples/');
}

function isPackageIndex({ path }: RepositoryFile): boolean {
  return /^packages\/[^/]+\/src\/index\.ts$/.test(path);
}

function needsTest(file: RepositoryFile): boolean {
  return (
    isSource(file) && !isExample(file) && !isPackageIndex(file) && untestedSources[file.path] === undefined
  );
}

function asserts(call: string): boolean {
  return /^(?:expect\w*|everySplit|fc\.assert)(?:\.|$)/.test(call);
}

/** No source file and no test file is longer than {@link maxFileLineCount} lines. */
export const longFiles: Rule = (files) =>
  files
    .filter((file) => isTypeScript(file) && lineCountOf(file.text) > maxFileLineCount)
    .map(({ path, text }) => `${path}: ${lineCountOf(text)} lines`);

/** No function in a source file is longer than {@link maxFunctionLineCount} lines. */
export const longFunctions: Rule = (files) =>
  files.filter(isSource).flatMap((file) =>
    syntaxOf(file)
      .functions.filter(({ lineCount }) => lineCount > maxFunctionLineCount)
      .map(({ line, lineCount }) => `${file.path}:${line}: a function of ${lineCount} lines`),
  );

/** Every source file has its test file in the same place below `test/`. Examples are run by their own tests. */
export const missingTests: Rule = (files) => {
  const paths = new Set(files.map(({ path }) => path));
  return files.filter(needsTest).flatMap(({ path }) => {
    const stem = path.replace('/src/', '/test/').slice(0, -'.ts'.length);
    const hasTest = paths.has(`${stem}.test.ts`) || paths.has(`${stem}.integration.test.ts`);
    return hasTest ? [] : [`${path}: no ${stem}.test.ts`];
  });
};

/** Every exception in {@link untestedSources} names a file that exists and still has no test. */
export const staleExceptions = (
  files: readonly RepositoryFile[],
  exceptions: Readonly<Record<string, string>> = untestedSources,
): readonly string[] => {
  const paths = new Set(files.map(({ path }) => path));
  return Object.keys(exceptions).flatMap((path) => {
    const test = path.replace('/src/', '/test/').replace(/\.ts$/, '.test.ts');
    if (!paths.has(path)) return [`${path}: listed, but not there`];
    return paths.has(test) ? [`${path}: listed, but tested`] : [];
  });
};

/** Every source file opens with a comment; examples open with what the README shows. */
export const silentFiles: Rule = (files) =>
  files
    .filter(
      (file) => isSource(file) && !isExample(file) && !/^(?:#!.*\n)?(?:\/\/ \S|\/\*\*?\s)/.test(file.text),
    )
    .map(({ path }) => `${path}: does not say what it is for`);

/** Packages never write to the console: they log through the caller's logger. */
export const consoleUses: Rule = (files) =>
  files
    .filter((file) => file.path.startsWith('packages/') && isSource(file) && syntaxOf(file).usesConsole)
    .map(({ path }) => `${path}: uses the console`);

/** Sources export by name. */
export const defaultExports: Rule = (files) =>
  files
    .filter((file) => isSource(file) && syntaxOf(file).hasDefaultExport)
    .map(({ path }) => `${path}: has a default export`);

/** A package's front door holds re-exports by name and no code. */
export const codeInIndexes: Rule = (files) =>
  files
    .filter((file) => isPackageIndex(file) && !syntaxOf(file).isPureIndex)
    .map(({ path }) => `${path}: holds more than re-exports by name`);

/** Packages keep no state in modules: several proxies may run in one process. */
export const moduleState: Rule = (files) =>
  files
    .filter((file) => file.path.startsWith('packages/') && isSource(file))
    .flatMap((file) =>
      syntaxOf(file).mutableBindings.map((name) => `${file.path}: ${name} is mutable module state`),
    );

/** Files are kebab-case nouns that say what is inside. */
export const emptyNames: Rule = (files) =>
  files.filter(isTypeScript).flatMap(({ path }) => {
    const name = posix.basename(path);
    const stem = name.replace(/(?:\.integration)?(?:\.test)?\.ts$/, '');
    const folders = posix.dirname(path).split('/');
    const words = [stem, ...folders].flatMap((part) => part.split('-'));
    const saysNothing =
      words.some((word) => forbiddenWords.has(word)) ||
      [stem, ...folders].some((part) => forbiddenStems.has(part));
    if (saysNothing) return [`${path}: a name that says nothing`];
    return kebabName.test(name) ? [] : [`${path}: not kebab-case`];
  });

/** No file names a package registry's host or somebody's home folder. */
export const foreignPlaces: Rule = (files) =>
  files.flatMap(({ path, text }) =>
    text.split('\n').flatMap((line, index) => {
      const host = registryHosts.find((name) => line.includes(name));
      const found = host ?? homePath.exec(line)?.[0];
      return found === undefined ? [] : [`${path}:${index + 1}: ${found}`];
    }),
  );

/** Every test file asserts something. */
export const idleTests: Rule = (files) => {
  return files
    .filter((file) => file.path.endsWith('.test.ts') && ![...syntaxOf(file).calls].some(asserts))
    .map(({ path }) => `${path}: expects nothing`);
};
