// How tests run: unit and integration from the sources, acceptance against what is built.
import { defineConfig } from 'vitest/config';

const source = {
  resolve: { conditions: ['@soth/source'] },
  ssr: { resolve: { conditions: ['@soth/source', 'node', 'module-sync'] } },
};
const common = { retry: 0, testTimeout: 10_000, unstubGlobals: true, restoreMocks: true };

/** Measures memory, times, descriptors or load, and would mistake a neighbour's for its own. */
const undisturbed = [
  'bench',
  'chaos',
  'endurance',
  'event-streams-flow',
  'event-streams-limits',
  'handshakes',
  'http2-bodies',
  'http2-endurance',
  'http2-floods',
  'interception',
  'reload-load',
  'shutdown-load',
  'soak',
  'streams',
].map((name) => `testing/acceptance/${name}.test.ts`);

export default defineConfig({
  test: {
    // Two cores are enough for two: most tests wait for sockets half of their time.
    maxWorkers: '100%',
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
      'testing/faults/vitest.config.ts',
      {
        test: {
          ...common,
          name: 'acceptance',
          include: ['testing/acceptance/**/*.test.ts'],
          exclude: undisturbed,
          testTimeout: 60_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          ...common,
          name: 'undisturbed',
          include: undisturbed,
          testTimeout: 60_000,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
