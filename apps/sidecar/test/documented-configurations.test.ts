// Every configuration that the documentation shows is one that a proxy takes.
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { createMitmProxy, type MitmConfigInput } from 'soth-mitm';
import { expect, test } from 'vitest';
import { parse } from 'yaml';

const root = new URL('../../../', import.meta.url);

function pages(): string[] {
  const docs = readdirSync(new URL('docs/', root), { recursive: true, encoding: 'utf8' });
  const packages = readdirSync(new URL('packages/', root));
  return [
    'README.md',
    'apps/sidecar/README.md',
    ...docs.filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`),
    ...packages.map((name) => `packages/${name}/README.md`),
  ];
}

/** Each with its page and line; what a piece leaves out is filled in by the least that a configuration needs. */
const shown = pages().flatMap((page) => {
  const text = readFileSync(fileURLToPath(new URL(page, root)), 'utf8');
  return Array.from(text.matchAll(/^```(?:yaml|json)\n([^]*?)^```/gm), ({ index, 1: block = '' }) => {
    const place = `${page}:${text.slice(0, index).split('\n').length}`;
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- whether it is one is what is tested
    const piece = parse(block) as Partial<MitmConfigInput>;
    return [place, { interception: { destinations: ['*:*'] }, ...piece }] as const;
  });
});

test('there are some', () => {
  expect(shown.length).toBeGreaterThan(4);
});

test.each(shown)('%s', (_place, config) => {
  expect(() => createMitmProxy({ config })).not.toThrow();
});
