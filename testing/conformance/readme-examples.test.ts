// What a README shows is what is compiled: its first TypeScript block and the example file of the same name are the same text.
import { expect, test } from 'vitest';

import { rooms } from './import-rules.ts';
import { readRepository, type RepositoryFile } from './workspace.ts';

const files = await readRepository();
const firstBlock = /^```(?:ts|typescript)\n(?<code>[^]*?)^```$/m;

/** Why a page and its example do not agree; nothing if they do. */
function disagreement(all: readonly RepositoryFile[], page: string, example: string): string | undefined {
  const shown = all.find(({ path }) => path === page);
  if (!shown) return `${page} is missing`;
  const code = firstBlock.exec(shown.text)?.groups?.['code'];
  if (code === undefined) return `${page} has no TypeScript block`;
  const compiled = all.find(({ path }) => path === example);
  if (!compiled) return `${example} is missing`;
  return compiled.text === code ? undefined : `${page} and ${example} differ`;
}

test.each(Object.keys(rooms))("%s's README shows its compiled example", (name) => {
  expect(disagreement(files, `packages/${name}/README.md`, `apps/examples/src/${name}.ts`)).toBeUndefined();
});

test("the root README's quick start is the compiled one", () => {
  const hasPage = files.some(({ path }) => path === 'README.md');
  const verdict = disagreement(files, 'README.md', 'apps/examples/src/quick-start.ts');
  expect(verdict).toBe(hasPage ? undefined : 'README.md is missing');
});

const page = 'packages/a/README.md';
const example = 'apps/examples/src/a.ts';
const shown = {
  path: page,
  text: '# a\n\n```sh\nnpm i a\n```\n\n```ts\nrun();\n```\n\n```ts\nother();\n```\n',
};
const verdicts: readonly [string, readonly RepositoryFile[], string | undefined][] = [
  ['passes equal texts', [shown, { path: example, text: 'run();\n' }], undefined],
  [
    'catches a changed example',
    [shown, { path: example, text: 'run(1);\n' }],
    `${page} and ${example} differ`,
  ],
  ['catches a missing example', [shown], `${example} is missing`],
  ['catches a page without a block', [{ path: page, text: '# a\n' }], `${page} has no TypeScript block`],
  ['catches a missing page', [], `${page} is missing`],
];

test.each(verdicts)('the gate %s', (_name, planted, verdict) => {
  expect(disagreement(planted, page, example)).toBe(verdict);
});
