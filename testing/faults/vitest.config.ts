// How the tests of faults run: from the sources, with a place to fail in front of every `await`.
import { defineConfig } from 'vitest/config';

import { awaitSeams } from './await-seams.ts';

export default defineConfig({
  root: import.meta.dirname,
  plugins: [awaitSeams()],
  resolve: { conditions: ['@soth/source'] },
  ssr: { resolve: { conditions: ['@soth/source', 'node', 'module-sync'] } },
  test: {
    name: 'faults',
    include: ['*.test.ts'],
    retry: 0,
    sequence: { groupOrder: 2 },
  },
});
