// The import graph as rules over values. The tables below are the architecture: which package may know which, what each may take
// from npm, and who may touch the platform's network modules. A new edge is a change here, made on purpose.
import { builtinModules } from 'node:module';
import { posix } from 'node:path';

import { type Import, type Syntax, syntaxOf } from './syntax.ts';
import type { Manifest, RepositoryFile } from './workspace.ts';

interface Room {
  /** Packages of this repository that it may import. */
  readonly knows: readonly string[];
  /** Those of which it may import types only. */
  readonly typesOf?: readonly string[];
  readonly npm: readonly string[];
}

/** The packages from the door to the vocabulary: each row may name only rows below it. */
export const rooms: Readonly<Record<string, Room>> = {
  'soth-mitm': {
    knows: ['mitm-sidecar', 'mitm-core', 'mitm-observe', 'mitm-policy', 'mitm-http', 'mitm-tls'],
    npm: [],
  },
  'mitm-sidecar': {
    knows: ['mitm-core', 'mitm-observe', 'mitm-policy', 'mitm-http', 'mitm-tls'],
    npm: ['koffi'],
  },
  'mitm-core': { knows: ['mitm-observe', 'mitm-policy', 'mitm-http', 'mitm-tls'], npm: ['zod'] },
  'mitm-observe': {
    knows: ['mitm-policy', 'mitm-http', 'mitm-tls'],
    typesOf: ['mitm-tls'],
    npm: ['eventemitter3', 'pino'],
  },
  'mitm-policy': { knows: ['mitm-http'], npm: [] },
  'mitm-http': { knows: [], npm: [] },
  'mitm-tls': {
    knows: [],
    npm: ['@peculiar/webcrypto', '@peculiar/x509', 'reflect-metadata', 'tls-impersonate'],
  },
};

const networkModules = ['node:net', 'node:tls', 'node:dgram', 'node:http', 'node:https', 'node:http2'];

/** Who may import a network module, and which names of it; everybody else may not. */
const networkOwners: Readonly<Record<string, Readonly<Record<string, readonly string[] | 'all'>>>> = {
  'mitm-sidecar': Object.fromEntries(networkModules.map((name) => [name, 'all' as const])),
  'mitm-tls': { 'node:tls': 'all' },
  'mitm-http': { 'node:http': ['STATUS_CODES'] },
};

interface Place {
  /** `packages/mitm-http`, `apps/sidecar`, `testing`, `scripts`; empty for the root's own files. */
  readonly folder: string;
  /** What is below the folder, e.g. `src/frames/sse.ts`. */
  readonly inside: string;
}

function placeOf(path: string): Place {
  const [first = '', second = ''] = path.split('/');
  const depth = first === 'packages' || first === 'apps' ? 2 : path.includes('/') ? 1 : 0;
  const folder = depth === 2 ? `${first}/${second}` : depth === 1 ? first : '';
  return { folder, inside: path.slice(folder === '' ? 0 : folder.length + 1) };
}

function packageNameOf(specifier: string): string {
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
}

function isTypeScript({ path }: RepositoryFile): boolean {
  return path.endsWith('.ts');
}

function checkRelative(path: string, place: Place, specifier: string): string | undefined {
  const target = posix.join(posix.dirname(path), specifier);
  const there = placeOf(target);
  if (there.folder === place.folder) {
    const leavesSource = place.inside.startsWith('src/') && !there.inside.startsWith('src/');
    const isManifest = there.inside === 'package.json';
    return leavesSource && !isManifest ? 'reaches out of src' : undefined;
  }
  const isTest = place.inside.startsWith('test/');
  if (isTest && target.startsWith('testing/lab/')) return undefined;
  if (place.folder === 'testing' && there.folder === 'scripts') return undefined;
  const isIndex = there.folder.startsWith('packages/') && there.inside === 'src/index.ts';
  if (place.folder === 'scripts' && isIndex) return undefined;
  return 'reaches into another room: use its public name (tests may use testing/lab)';
}

function checkBuiltin(name: string, found: Import): string | undefined {
  if (!found.specifier.startsWith('node:')) return 'is a platform module: write it with node:';
  if (!networkModules.some((module) => packageModule(found.specifier) === module)) return undefined;
  const allowed = networkOwners[name]?.[packageModule(found.specifier)];
  if (allowed === 'all') return undefined;
  if (allowed && found.names.length > 0 && found.names.every((imported) => allowed.includes(imported)))
    return undefined;
  return allowed ? `gives ${name} only ${allowed.join(', ')}` : 'belongs to mitm-sidecar';
}

function packageModule(specifier: string): string {
  return specifier.split('/')[0] ?? specifier;
}

function isBuiltin(specifier: string): boolean {
  return specifier.startsWith('node:') || builtinModules.includes(packageModule(specifier));
}

function checkNamed(name: string, found: Import, isSource: boolean): string | undefined {
  const target = packageNameOf(found.specifier);
  if (rooms[target] && found.specifier !== target) return `is a deep import: use ${target}`;
  const room = rooms[name];
  if (!room || !isSource) return undefined;
  if (!rooms[target]) return room.npm.includes(target) ? undefined : `is no npm package of ${name}`;
  if (!room.knows.includes(target)) return `is not below ${name}`;
  if (room.typesOf?.includes(target) === true && !found.isTypeOnly)
    return `gives ${name} types only: import type`;
  return undefined;
}

function checkImport(path: string, name: string, found: Import): string | undefined {
  const place = placeOf(path);
  const isSource = place.inside.startsWith('src/');
  if (found.specifier.startsWith('.')) return checkRelative(path, place, found.specifier);
  if (isBuiltin(found.specifier)) return isSource && rooms[name] ? checkBuiltin(name, found) : undefined;
  return checkNamed(name, found, isSource);
}

/** Each import that points the wrong way, deep into a package, or at a module that its room does not own. */
export function wrongImports(
  files: readonly RepositoryFile[],
  manifests: readonly Manifest[],
): readonly string[] {
  const names = new Map(manifests.map((manifest) => [manifest.folder, manifest.name]));
  return files.filter(isTypeScript).flatMap((file) => {
    const name = names.get(placeOf(file.path).folder) ?? '';
    return syntaxOf(file).imports.flatMap((found) => {
      const fault = checkImport(file.path, name, found);
      return fault === undefined ? [] : [`${file.path}: ${found.specifier} ${fault}`];
    });
  });
}

function bareNames(syntaxes: readonly Syntax[]): ReadonlySet<string> {
  const specifiers = syntaxes.flatMap(({ imports }) => imports.map(({ specifier }) => specifier));
  const bare = specifiers.filter((specifier) => !specifier.startsWith('.') && !isBuiltin(specifier));
  return new Set(bare.map(packageNameOf));
}

function checkManifest(
  manifest: Manifest,
  files: readonly RepositoryFile[],
  sharedTools: readonly string[],
): readonly string[] {
  const own = files.filter((file) => isTypeScript(file) && placeOf(file.path).folder === manifest.folder);
  const isShipped = manifest.folder.includes('/');
  const shipped = isShipped ? own.filter(({ path }) => placeOf(path).inside.startsWith('src/')) : own;
  const used = bareNames(shipped.map(syntaxOf));
  const declared = new Set(manifest.dependencies);
  const known = new Set([...declared, ...manifest.devDependencies, ...sharedTools, manifest.name]);
  const where = `${manifest.folder}/package.json`;
  return [
    ...[...used]
      .filter((name) => !declared.has(name))
      .map((name) => `${where}: ${name} is used, not declared`),
    ...[...declared]
      // Types of a package are used where it is.
      .filter((name) => !used.has(name.replace(/^@types\//, '')))
      .map((name) => `${where}: ${name} is declared, not used`),
    ...[...bareNames(own.map(syntaxOf))]
      .filter((name) => !used.has(name) && !known.has(name))
      .map((name) => `${where}: ${name} is used by tests, not declared`),
  ];
}

/** Each dependency that is declared and not used, or used and not declared. Tests may also use the root's tools. */
export function wrongManifests(
  files: readonly RepositoryFile[],
  manifests: readonly Manifest[],
): readonly string[] {
  const sharedTools = manifests.find(({ folder }) => folder === '')?.devDependencies ?? [];
  return manifests
    .filter(({ folder }) => folder !== '')
    .flatMap((manifest) => checkManifest(manifest, files, sharedTools));
}

/** Each row of {@link rooms} that names a row above itself: the table could then not be the drawing it stands for. */
export function backwardEdges(table: Readonly<Record<string, Room>> = rooms): readonly string[] {
  const order = Object.keys(table);
  return Object.entries(table).flatMap(([name, { knows }]) =>
    knows
      .filter((target) => order.indexOf(target) <= order.indexOf(name))
      .map((target) => `${name} → ${target} points back`),
  );
}
