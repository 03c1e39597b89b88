// Reads the repository for the rules: every text file that is not generated, and every manifest. Rules get values, never paths to
// open, so that a planted violation is a value too.
import { readdir, readFile } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A file of the repository. `path` is relative to the root, with forward slashes. */
export interface RepositoryFile {
  readonly path: string;
  readonly text: string;
}

/** What the rules read of a package.json. */
export interface Manifest {
  /** The package's folder, e.g. `packages/mitm-http`; empty for the root. */
  readonly folder: string;
  readonly name: string;
  /** What is installed with it, and what its users may bring along. */
  readonly dependencies: readonly string[];
  readonly devDependencies: readonly string[];
}

const generatedFolders = new Set(['.git', '.turbo', '.soth-mitm', 'coverage', 'dist', 'node_modules']);
const textEnd = /(?:\.(?:ts|mjs|js|json|md|yml|yaml|sh|txt)|\/LICENSE|\/run|\/\.gitignore)$/;

/** The repository's root, with a trailing separator. */
const repositoryRoot: string = fileURLToPath(new URL('../../', import.meta.url));

async function walk(folder: string, found: string[]): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (!generatedFolders.has(entry.name)) await walk(path, found);
    } else if (entry.isFile()) {
      found.push(path);
    }
  }
}

/** All text files of the repository, sorted by path. It walks the folders, so that it needs no git and sees new files too. */
export async function readRepository(): Promise<readonly RepositoryFile[]> {
  const found: string[] = [];
  await walk(repositoryRoot, found);
  const texts = found.filter((path) => textEnd.test(path.split(sep).join('/')));
  const files = texts.map(async (path) => ({
    path: relative(repositoryRoot, path).split(sep).join('/'),
    text: await readFile(path, 'utf8'),
  }));
  return (await Promise.all(files)).toSorted((left, right) => (left.path < right.path ? -1 : 1));
}

/** The manifests among the files. */
export function manifestsOf(files: readonly RepositoryFile[]): readonly Manifest[] {
  return files
    .filter(({ path }) => path === 'package.json' || path.endsWith('/package.json'))
    .map(({ path, text }) => manifestFrom(path.replace(/\/?package\.json$/, ''), text));
}

function manifestFrom(folder: string, text: string): Manifest {
  const json: unknown = JSON.parse(text);
  const name = fieldOf(json, 'name');
  return {
    folder,
    name: typeof name === 'string' ? name : '',
    dependencies: ['dependencies', 'peerDependencies'].flatMap((key) =>
      Object.keys(Object(fieldOf(json, key))),
    ),
    devDependencies: Object.keys(Object(fieldOf(json, 'devDependencies'))),
  };
}

function fieldOf(json: unknown, key: string): unknown {
  return Object.entries(Object(json)).find(([name]) => name === key)?.[1];
}
