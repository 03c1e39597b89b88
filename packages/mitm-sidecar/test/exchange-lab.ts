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

/** A request as a client sends it, and as the origin gets it. */
export const get = 'GET http://o/ HTTP/1.1\r\nHost: o\r\n\r\n';
export const upstreamGet = 'GET / HTTP/1.1\r\nHost: o\r\n\r\n';

export const post = (body: string, extra = ''): string =>
  `POST http://o/ HTTP/1.1\r\nHost: o\r\n${extra}Content-Length: ${body.length}\r\n\r\n${body}`;

export const upstreamPost = (body: string): string =>
  `POST / HTTP/1.1\r\nHost: o\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

export const noContent = 'HTTP/1.1 204 No Content\r\n\r\n';

/** An answer of the proxy itself. */
export const ownAnswer = (status: string, text: string): string =>
  `HTTP/1.1 ${status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${text.length}\r\n\r\n${text}`;

/** A playbook in which client and origin have had an exchange, on connections that go on. */
export async function playUsed(options: ExchangeLabOptions = {}): Promise<Playbook<readonly MitmEvent[]>> {
  const book = await play(options);
  return book.client(get).expectUpstream(upstreamGet).upstream(noContent).expectClient(noContent);
}
