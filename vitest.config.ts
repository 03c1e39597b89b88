// How tests run: unit and integration from the sources, acceptance against what is built.
import { defineConfig } from 'vitest/config';

const source = {
  resolve: { conditions: ['@soth/source'] },
  ssr: { resolve: { conditions: ['@soth/source', 'node', 'module-sync'] } },
};
const common = { retry: 0, testTimeout: 10_000, unstubGlobals: true, restoreMocks: true };

export default defineConfig({
  test: {
    reporters: ['default', './scripts/closing-line.ts'],
    coverage: {
      provider: 'v8',
      include: ['packages/*/src/**', 'apps/*/src/**'],
      reporter: ['text-summary', 'lcov'],
    },
    projects: [
      {
        ...source,
        test: {
          ...common,
          name: 'unit',
          include: ['{packages,apps}/*/test/**/*.test.ts', 'testing/lab/**/*.test.ts'],
          exclude: ['**/*.integration.test.ts'],
        },
      },
      {
        ...source,
        test: {
          ...common,
          name: 'integration',
          include: [
            '{packages,apps}/*/test/**/*.integration.test.ts',
            'testing/{integration,conformance}/**/*.test.ts',
          ],
          testTimeout: 30_000,
        },
      },
      {
        test: {
          ...common,
          name: 'acceptance',
          include: ['testing/acceptance/**/*.test.ts'],
          testTimeout: 60_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
