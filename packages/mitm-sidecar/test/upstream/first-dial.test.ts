// The dial that a CONNECT waits for, and its one further attempt.

import { duplexPair } from 'node:stream';

import { Failure, type Flow, type MitmConfigInput, planRoute } from 'mitm-core';
import { expect, test } from 'vitest';

import { Session } from '../../src/session.ts';
import { dialFailure } from '../../src/upstream/dial.ts';
import { firstDial } from '../../src/upstream/first-dial.ts';
import { createRuntime, loopbackConnection } from '../runtime-fixture.ts';

const target = { host: 'o', port: 443 };

async function flowWith(upstream: MitmConfigInput['upstream']): Promise<Flow> {
  const { engine } = await createRuntime({ config: { upstream } });
  const flow = engine.openFlow({ connection: loopbackConnection() });
  flow.nameTarget(target);
  flow.route = planRoute(flow.config, target);
  return flow;
}

function newClient(): Session {
  return new Session(duplexPair()[0]);
}

function refused(flow: Flow, code: string): Failure {
  return dialFailure(flow.route, Object.assign(new Error(code), { code }));
}

const rows: readonly [string, boolean, string, number][] = [
  ['what was refused is tried once more', true, 'ECONNREFUSED', 2],
  ['a name that does not exist is not', true, 'ENOTFOUND', 1],
  ['nor what took too long', true, 'ETIMEDOUT', 1],
  ['nothing is, unless the configuration wants it', false, 'ECONNREFUSED', 1],
];
test.each(rows)('%s', async (_rule, retryOnFailure, code, expected) => {
  const flow = await flowWith({ retryOnFailure, retryDelayMs: 1 });
  let attempts = 0;
  const dialling = firstDial(flow, newClient(), () => {
    attempts += 1;
    return Promise.reject(refused(flow, code));
  });
  await expect(dialling).rejects.toMatchObject({ reason: 'upstream_connect_failed' });
  expect(attempts).toBe(expected);
});

test('the second attempt may succeed', async () => {
  const flow = await flowWith({ retryOnFailure: true, retryDelayMs: 1 });
  let attempts = 0;
  const made = await firstDial(flow, newClient(), () => {
    attempts += 1;
    return attempts === 1 ? Promise.reject(refused(flow, 'ECONNRESET')) : Promise.resolve('made');
  });
  expect(made).toBe('made');
});

test('for a client that left in between nothing more is dialled', async () => {
  const flow = await flowWith({ retryOnFailure: true, retryDelayMs: 20 });
  const client = newClient();
  let attempts = 0;
  const dialling = firstDial(flow, client, () => {
    attempts += 1;
    client.socket.destroy();
    return Promise.reject(refused(flow, 'ECONNREFUSED'));
  });
  await expect(dialling).rejects.toMatchObject({ reason: 'client_aborted' });
  expect(attempts).toBe(1);
});
