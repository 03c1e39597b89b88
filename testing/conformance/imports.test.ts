// The import graph: arrows point one way, rooms are entered by their front door, sockets belong to those who own them, and
// manifests say what is true. Each rule is also shown a violation, so that none of them can go blind.
import { expect, test } from 'vitest';

import { backwardEdges, rooms, wrongImports, wrongManifests } from './import-rules.ts';
import { type Manifest, manifestsOf, readRepository } from './workspace.ts';

const files = await readRepository();
const manifests = manifestsOf(files);

function manifest(folder: string, name: string, dependencies: readonly string[] = []): Manifest {
  return { folder, name, dependencies, devDependencies: [] };
}

const planted: readonly Manifest[] = [
  { folder: '', name: 'root', dependencies: [], devDependencies: ['vitest'] },
  ...Object.keys(rooms).map((name) => manifest(`packages/${name}`, name)),
  manifest('apps/sidecar', 'soth-mitm-sidecar'),
  manifest('testing', '@soth-internal/testing'),
];

test('the repository has the packages that the rules speak of, and no other', () => {
  const found = manifests.filter(({ folder }) => folder.startsWith('packages/')).map(({ name }) => name);
  expect(found.toSorted()).toEqual(Object.keys(rooms).toSorted());
  expect(files.filter(({ path }) => path.endsWith('/src/index.ts')).length).toBeGreaterThanOrEqual(
    found.length,
  );
});

test('every arrow of the table points to a lower row', () => {
  expect(backwardEdges()).toEqual([]);
  const circular = { a: { knows: ['b'], npm: [] }, b: { knows: ['a'], npm: [] } };
  expect(backwardEdges(circular)).toEqual(['b → a points back']);
});

test('every import of the repository is allowed', () => {
  expect(wrongImports(files, manifests)).toEqual([]);
});

test('every manifest declares what its sources import, and nothing else', () => {
  expect(wrongManifests(files, manifests)).toEqual([]);
});

const violations: readonly [string, string, string, string][] = [
  [
    'an arrow back',
    'packages/mitm-http/src/a.ts',
    "import { x } from 'mitm-core';",
    'is not below mitm-http',
  ],
  [
    'an arrow back by a type',
    'packages/mitm-policy/src/a.ts',
    "let x: import('mitm-core').X;",
    'is not below',
  ],
  [
    'an arrow back by a dynamic import',
    'packages/mitm-tls/src/a.ts',
    "await import('soth-mitm');",
    'is not below',
  ],
  ['a re-export back', 'packages/mitm-tls/src/a.ts', "export * from 'mitm-http';", 'is not below mitm-tls'],
  [
    'a value where types are allowed',
    'packages/mitm-observe/src/a.ts',
    "import { x } from 'mitm-tls';",
    'types only',
  ],
  [
    'an inline type loads its module',
    'packages/mitm-observe/src/a.ts',
    "import { type X } from 'mitm-tls';",
    'types only',
  ],
  [
    'a deep import',
    'packages/mitm-core/src/a.ts',
    "import { x } from 'mitm-http/src/head.ts';",
    'is a deep import',
  ],
  [
    'a deep import by a test',
    'testing/acceptance/a.test.ts',
    "import 'mitm-http/dist/x.js';",
    'is a deep import',
  ],
  [
    'a path into a neighbour',
    'packages/mitm-core/src/a.ts',
    "import '../../mitm-http/src/index.ts';",
    'another room',
  ],
  [
    "a neighbour's tests",
    'packages/mitm-core/test/a.test.ts',
    "import '../../mitm-http/test/b.ts';",
    'another room',
  ],
  [
    'a source that uses the lab',
    'packages/mitm-core/src/a.ts',
    "import '../../../testing/lab/split.ts';",
    'another room',
  ],
  [
    'a source that uses its own tests',
    'packages/mitm-core/src/a.ts',
    "import '../test/b.ts';",
    'reaches out of src',
  ],
  [
    'an import of an app',
    'testing/acceptance/a.test.ts',
    "import '../../apps/sidecar/src/main.ts';",
    'another room',
  ],
  [
    'a script past an index',
    'scripts/docs.ts',
    "import '../packages/mitm-core/src/flow.ts';",
    'another room',
  ],
  [
    'a socket in the brain',
    'packages/mitm-core/src/a.ts',
    "import { connect } from 'node:net';",
    'belongs to mitm-sidecar',
  ],
  [
    "a socket's type in the brain",
    'packages/mitm-core/src/a.ts',
    "import type { Socket } from 'node:net';",
    'belongs to',
  ],
  [
    'a socket by a re-export',
    'packages/soth-mitm/src/a.ts',
    "export { connect } from 'node:tls';",
    'belongs to',
  ],
  ['TCP in the TLS room', 'packages/mitm-tls/src/a.ts', "import { connect } from 'node:net';", 'belongs to'],
  [
    'a server in the HTTP room',
    'packages/mitm-http/src/a.ts',
    "import { createServer } from 'node:http';",
    'only STATUS_CODES',
  ],
  [
    'all of http in the HTTP room',
    'packages/mitm-http/src/a.ts',
    "import * as http from 'node:http';",
    'only STATUS_CODES',
  ],
  [
    'a platform module without node:',
    'packages/mitm-sidecar/src/a.ts',
    "import { connect } from 'net';",
    'with node:',
  ],
  [
    'an npm package of another room',
    'packages/mitm-http/src/a.ts',
    "import { z } from 'zod';",
    'is no npm package of',
  ],
];

test.each(violations)('the gate catches %s', (_name, path, text, message) => {
  expect(wrongImports([{ path, text }], planted)).toEqual([expect.stringContaining(message)]);
});

const allowed: readonly [string, string, string][] = [
  ['an arrow that skips to the right', 'packages/mitm-sidecar/src/a.ts', "import { x } from 'mitm-http';"],
  ['types for the observer', 'packages/mitm-observe/src/a.ts', "import type { X } from 'mitm-tls';"],
  ['sockets in their room', 'packages/mitm-sidecar/src/a.ts', "import { connect } from 'node:net';"],
  [
    'contexts in the TLS room',
    'packages/mitm-tls/src/a.ts',
    "import { createSecureContext } from 'node:tls';",
  ],
  [
    'reason phrases in the HTTP room',
    'packages/mitm-http/src/a.ts',
    "import { STATUS_CODES } from 'node:http';",
  ],
  [
    'a test that uses the lab',
    'packages/mitm-http/test/x/a.test.ts',
    "import '../../../../testing/lab/split.ts';",
  ],
  ['a test with a socket', 'packages/mitm-core/test/a.test.ts', "import { connect } from 'node:net';"],
  [
    'a module name in a comment or string',
    'packages/mitm-core/src/a.ts',
    "// import 'node:net'\nf(\"import 'net'\");",
  ],
];

test.each(allowed)('the gate lets %s pass', (_name, path, text) => {
  expect(wrongImports([{ path, text }], planted)).toEqual([]);
});

test('the gate catches a manifest that says too much or too little', () => {
  const sources = [
    { path: 'packages/mitm-core/src/a.ts', text: "import { z } from 'zod';" },
    {
      path: 'packages/mitm-core/test/a.test.ts',
      text: "import { test } from 'vitest';\nimport x from 'left';",
    },
  ];
  const root = planted.filter(({ folder }) => folder === '');
  const core = (dependencies: readonly string[]): readonly string[] =>
    wrongManifests(sources, [...root, manifest('packages/mitm-core', 'mitm-core', dependencies)]);
  expect(core(['mitm-http'])).toEqual([
    'packages/mitm-core/package.json: zod is used, not declared',
    'packages/mitm-core/package.json: mitm-http is declared, not used',
    'packages/mitm-core/package.json: left is used by tests, not declared',
  ]);
});
