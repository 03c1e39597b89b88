// Plays one client and its origins against the real serving code, in memory: the client speaks plain proxy requests, and each
// upstream connection is a stream of the playbook. What holds for all traffic is checked when the play is over.
import type { Duplex } from 'node:stream';

import type { InterceptHandler, MitmConfigInput } from 'mitm-core';
import type { MitmEvent } from 'mitm-observe';

import { Playbook } from '../../../testing/lab/playbook.ts';
import { serveConnection } from '../src/connection.ts';
import type { Runtime } from '../src/runtime.ts';
import { UpstreamPool } from '../src/upstream/pool.ts';
import { Wire } from '../src/wire.ts';
import { expectInvariants } from './proxy-lab.ts';
import { createRuntime, loopbackConnection, type RuntimeFixture } from './runtime-fixture.ts';

export interface ExchangeLab {
  readonly fixture: RuntimeFixture;
  /** A new playbook on the same runtime, so that a later one finds the pool as an earlier one left it. */
  play(): Playbook<readonly MitmEvent[]>;
}

export interface ExchangeLabOptions {
  readonly config?: Partial<MitmConfigInput>;
  readonly handler?: InterceptHandler;
  /** Runs before each dial; what it throws is the dial's failure. */
  readonly beforeDial?: () => Promise<void> | void;
}

/** Makes a runtime whose upstream connections are those of the playbook. The result of a play are the events so far. */
export async function createExchangeLab(options: ExchangeLabOptions = {}): Promise<ExchangeLab> {
  const fixture = await createRuntime({ config: options.config, handler: options.handler });
  const { engine, recorder } = fixture;
  const dialling: { dial: (() => Duplex) | undefined } = { dial: undefined };
  const pool = new UpstreamPool(
    async () => {
      await options.beforeDial?.();
      if (dialling.dial === undefined) throw new Error('nothing is being played');
      return { wire: new Wire(dialling.dial()), alpn: undefined };
    },
    () => engine.config,
  );
  const runtime: Runtime = { ...fixture.runtime, pool };
  return {
    fixture,
    play: () =>
      new Playbook(async (client, dial) => {
        dialling.dial = dial;
        await serveConnection(client, loopbackConnection().socketFamily, runtime, () => {});
        pool.close();
        const events = recorder.events();
        expectInvariants(engine, events);
        return events;
      }),
  };
}

/** A playbook on a runtime of its own. */
export async function play(options: ExchangeLabOptions = {}): Promise<Playbook<readonly MitmEvent[]>> {
  return (await createExchangeLab(options)).play();
}
