// A connection to an origin of HTTP/2, the origin as a raw peer, and clients that open streams on it.
import type { MitmConfigInput } from 'mitm-core';

import { endHeaders, endStream, headersFrame } from '../../../../testing/lab/h2-frames.ts';
import { RawPeer } from '../../../../testing/lab/h2-raw-peers.ts';
import { linkedPair } from '../../../../testing/lab/linked-pair.ts';
import type { Http2Outbound } from '../../src/http2/outbound.ts';
import { Http2UpstreamSession } from '../../src/http2/upstream-session.ts';
import { Wire } from '../../src/wire.ts';
import { askedFor, getFields, h2RequestOf } from '../messages.ts';
import { ResponseRecorder } from '../recorders.ts';
import { createRuntime } from '../runtime-fixture.ts';

export const alice = { name: 'alice' };

export interface SessionLab extends Disposable {
  readonly session: Http2UpstreamSession;
  readonly origin: RawPeer;
  /** What its owner was told. */
  readonly told: string[];
  readonly breakOff: (error: Error) => void;
}

export interface SessionLabOptions {
  readonly config?: Partial<MitmConfigInput>;
  readonly peer?: ConstructorParameters<typeof RawPeer>[2];
  /** Both sides' settings have come before the test begins. */
  readonly isSettled?: boolean;
}

export async function startSession(options: SessionLabOptions = {}): Promise<SessionLab> {
  const fixture = await createRuntime({ config: options.config });
  const [near, far] = linkedPair();
  const told: string[] = [];
  const owner = {
    roomChanged: () => told.push('room'),
    draining: () => told.push('draining'),
    sessionGone: () => told.push('gone'),
  };
  const place = { key: 'key', generation: 3 };
  const session = new Http2UpstreamSession(new Wire(near), fixture.openFlow(), owner, place);
  const origin = new RawPeer(far, false, options.peer ?? {});
  session.start();
  if (options.isSettled !== false) {
    await origin.until(() => origin.frames.length >= 3, 'the settings');
    await session.known(1_000);
    origin.frames.length = 0;
    told.length = 0;
  }
  return {
    session,
    origin,
    told,
    breakOff: (error) => void near.destroy(error),
    [Symbol.dispose]: () => {
      session.close('the test is over');
      near.destroy();
      far.destroy();
    },
  };
}

/** Opens a stream and sends a whole request on it. */
export function ask(
  session: Http2UpstreamSession,
  client: object = alice,
): [Http2Outbound, ResponseRecorder] {
  const outbound = session.open(client);
  const receiver = new ResponseRecorder();
  outbound.send(askedFor(h2RequestOf(getFields())), receiver);
  outbound.sendEnd(undefined);
  return [outbound, receiver];
}

export const ended = endHeaders | endStream;
export const ok = (id: number): Buffer => headersFrame(id, [':status', '200'], ended);
