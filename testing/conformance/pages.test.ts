// The rules for pages over the whole repository; and for each a planted violation, so that the gate can fail.
import { describe, expect, test } from 'vitest';

import { brokenLinks, unknownExports } from './page-rules.ts';
import { readRepository } from './workspace.ts';

const files = await readRepository();

describe('links', () => {
  test('lead to what is there', () => {
    expect(brokenLinks(files)).toEqual([]);
  });

  const other = { path: 'docs/other.md', text: '# Other\n\n## What `it` says, twice\n' };
  test.each([
    ['to a page', '[a](other.md)', []],
    ['to a folder', '[a](../docs)', []],
    ['to a heading', '[a](other.md#what-it-says-twice)', []],
    ['to a heading of its own', '# Here\n\n[a](#here)', []],
    ['to somewhere else', '[a](https://example.org/none.md)', []],
    ['in code', '`[a](none.md)`\n\n```\n[a](none.md)\n```\n', []],
    ['to no page', '[a](none.md)', ['docs/page.md: none.md leads nowhere']],
    ['to no heading', '[a](other.md#none)', ['docs/page.md: other.md#none names no heading']],
  ])('%s', (_what, text, found) => {
    expect(brokenLinks([other, { path: 'docs/page.md', text }])).toEqual(found);
  });
});

describe('the tables of a package', () => {
  test('name what it exports', () => {
    expect(unknownExports(files)).toEqual([]);
  });

  test('that name something else are found', () => {
    const index = { path: 'packages/a/src/index.ts', text: "export { known } from './known.ts';" };
    const text = '| export | what it is |\n| --- | --- |\n| `known(x)`, `gone` | a, `b` |\n';
    const page = { path: 'packages/a/README.md', text };
    expect(unknownExports([index, page])).toEqual(['packages/a/README.md: gone is not exported']);
  });
});
