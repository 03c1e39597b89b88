// The client's process in the facts of its connection, and what is said when it can't be known.
import { PassThrough } from 'node:stream';

import { Metrics, silentLogger } from 'mitm-observe';
import { expect, test } from 'vitest';

import { Attribution } from '../../src/process/attribution.ts';
import { ProcessLookup } from '../../src/process/lookup.ts';
import type { Sighting } from '../../src/process/source.ts';
import { loopbackConnection } from '../runtime-fixture.ts';

const config = { enabled: true, lookupTimeoutMs: 1_000, cacheCapacity: 10 };

/** An attribution whose source always answers the same; `lines` are what it logged. */
function startLab(find: () => Promise<Sighting>): {
  readonly attribution: Attribution;
  readonly lines: string[];
} {
  const lines: string[] = [];
  const note =
    (level: string) =>
    (facts: unknown): void => {
      const why = typeof facts === 'object' && facts !== null && 'why' in facts ? String(facts.why) : '';
      lines.push(`${level} ${why}`);
    };
  const lookup = new ProcessLookup({ config: () => config, metrics: new Metrics(), source: { find } });
  const logger = { ...silentLogger, warn: note('warn'), debug: note('debug') };
  return { attribution: new Attribution(lookup, logger), lines };
}

test('a process that is found is in the facts', async () => {
  const info = { pid: 12, exeName: 'agent' };
  const { attribution, lines } = startLab(() =>
    Promise.resolve({ kind: 'owner', pid: 12, startToken: '1', describe: () => Promise.resolve(info) }),
  );
  const connection = loopbackConnection();
  const before = connection.meta;
  attribution.begin(connection, new PassThrough());
  await connection.attributed;
  expect([before.processInfo, connection.meta.processInfo, lines]).toEqual([undefined, info, []]);
});

test.each(['not_found', 'remote'] as const)('%s leaves them as they are', async (kind) => {
  const { attribution, lines } = startLab(() => Promise.resolve({ kind }));
  const connection = loopbackConnection();
  attribution.begin(connection, new PassThrough());
  await connection.attributed;
  expect([connection.processInfo, lines]).toEqual([undefined, [`debug ${kind}`]]);
});

test('a missing permission is said aloud once', async () => {
  const { attribution, lines } = startLab(() => Promise.resolve({ kind: 'not_permitted' }));
  for (const connection of [loopbackConnection(), loopbackConnection()]) {
    attribution.begin(connection, new PassThrough());
    await connection.attributed;
  }
  expect(lines).toEqual(['warn not_permitted', 'debug not_permitted']);
});

test('a system that can’t be asked rejects nothing', async () => {
  const { attribution, lines } = startLab(() => Promise.reject(new Error('EMFILE')));
  const connection = loopbackConnection();
  attribution.begin(connection, new PassThrough());
  await connection.attributed;
  expect(lines).toEqual(['debug failed']);
});

test('its end lets whoever waits go on', async () => {
  const { attribution, lines } = startLab(() => new Promise(() => {}));
  const connection = loopbackConnection();
  attribution.begin(connection, new PassThrough());
  attribution.close();
  await connection.attributed;
  expect(lines).toEqual(['debug aborted']);
});
