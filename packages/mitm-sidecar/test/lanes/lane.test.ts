// A connection goes along one lane after the other, until one ends.
import { Failure } from 'mitm-core';
import { expect, test } from 'vitest';

import { follow, type Lane } from '../../src/lanes/lane.ts';
import { Session } from '../../src/session.ts';
import { createRuntime } from '../runtime-fixture.ts';
import { tcpPair } from '../streams.ts';

async function followed(lane: Lane): Promise<unknown> {
  await using pair = await tcpPair();
  const { runtime, openFlow, close } = await createRuntime({});
  const flow = openFlow({ host: 'example.org', port: 443 });
  try {
    return await follow(lane, flow, new Session(pair.near), runtime);
  } finally {
    flow.close('shutdown');
    close();
  }
}

test('a lane that ends says why', async () => {
  expect(await followed(() => Promise.resolve('relay_eof'))).toBe('relay_eof');
});

test('a lane that names another is left for it, with the same connection', async () => {
  const seen: unknown[] = [];
  const last: Lane = (...all) => {
    seen.push(all);
    return Promise.resolve('mitm_http_completed');
  };
  const first: Lane = (...all) => {
    seen.push(all);
    return Promise.resolve(() => Promise.resolve(last));
  };
  expect(await followed(first)).toBe('mitm_http_completed');
  expect(seen).toHaveLength(2);
  expect(seen[1]).toEqual(seen[0]);
});

const broken: Lane = () => Promise.reject(new Failure('client_aborted', { side: 'client', detail: 'left' }));

test('what goes wrong on a later stretch is the connection’s failure', async () => {
  await expect(followed(() => Promise.resolve(broken))).rejects.toMatchObject({ reason: 'client_aborted' });
});
