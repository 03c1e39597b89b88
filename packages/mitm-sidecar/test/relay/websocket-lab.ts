import type { Duplex } from 'node:stream';

// A WebSocket relay between two connections, with the exchange that watches it, and frames as both sides write them.
import { Exchange, type InterceptHandler, type MitmConfigInput } from 'mitm-core';
import { parseRequestHead, type WebSocketAgreement } from 'mitm-http';
import type { MitmEvent } from 'mitm-observe';

import { ByteLog } from '../../../../testing/lab/byte-log.ts';
import { linkedPair } from '../../../../testing/lab/linked-pair.ts';
import { relayWebSocket, type WebSocketEnd } from '../../src/relay/websocket.ts';
import type { Session } from '../../src/session.ts';
import { Wire } from '../../src/wire.ts';
import { responseOf } from '../messages.ts';
import { createRuntime } from '../runtime-fixture.ts';

export const plainAgreement: WebSocketAgreement = {
  protocol: undefined,
  extensions: [],
  deflate: undefined,
  hasUnknownExtension: false,
};

export interface WebSocketLabOptions {
  readonly agreement?: WebSocketAgreement;
  readonly config?: Partial<MitmConfigInput>;
  readonly handler?: InterceptHandler;
  /** The near and the far end of each connection; in memory unless given. */
  readonly pairs?: { readonly client: readonly [Duplex, Duplex]; readonly origin: readonly [Duplex, Duplex] };
  /** Runs before the relay takes the wires. */
  readonly before?: (client: Wire, origin: Wire) => void;
}

export interface WebSocketLab {
  /** The far ends, and what they received. */
  readonly client: Duplex;
  readonly origin: Duplex;
  readonly atClient: ByteLog;
  readonly atOrigin: ByteLog;
  readonly clientWire: Wire;
  readonly originWire: Wire;
  readonly exchange: Exchange;
  /** Through which a shutdown reaches the relay. */
  readonly session: Pick<Session, 'server'>;
  readonly end: Promise<WebSocketEnd>;
  readonly events: () => readonly MitmEvent[];
  /** Breaks it off where a test has seen enough. */
  readonly stop: () => Promise<void>;
}

/** Starts a relay right behind an accepted handshake. */
export async function startWebSocketLab(options: WebSocketLabOptions = {}): Promise<WebSocketLab> {
  const { openFlow, recorder } = await createRuntime({ config: options.config, handler: options.handler });
  const exchange = openUpgrade(openFlow);
  const head = responseOf('HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade');
  exchange.responseHead(head);
  exchange.openWebSocket(head, options.agreement ?? plainAgreement);
  const [clientNear, client] = options.pairs?.client ?? linkedPair();
  const [originNear, origin] = options.pairs?.origin ?? linkedPair();
  const [clientWire, originWire] = [new Wire(clientNear), new Wire(originNear)];
  options.before?.(clientWire, originWire);
  const [atClient, atOrigin] = [new ByteLog(client), new ByteLog(origin)];
  const sides = { client: clientWire, upstream: originWire };
  const session: Pick<Session, 'server'> = { server: undefined };
  const end = relayWebSocket(exchange, sides, options.agreement ?? plainAgreement, session);
  const stop = async (): Promise<void> => {
    clientNear.destroy();
    await end;
  };
  const events = (): readonly MitmEvent[] => recorder.events();
  return { client, origin, atClient, atOrigin, clientWire, originWire, exchange, session, end, stop, events };
}

function openUpgrade(openFlow: Awaited<ReturnType<typeof createRuntime>>['openFlow']): Exchange {
  const target = { host: 'example.org', port: 443 };
  const bytes = Buffer.from(
    'GET /chat HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n',
  );
  return new Exchange(openFlow(target, openFlow(target)), {
    request: parseRequestHead(bytes, 0, bytes.length),
    scheme: 'https',
    authority: 'example.org',
    path: '/chat',
    hasBody: false,
    isUpgrade: true,
  });
}

/** The close codes in the frames at the end of what a side received, whose first bytes are known. */
export function closeCodeBehind(received: Buffer, expected: Buffer): number | string | undefined {
  if (!received.subarray(0, expected.length).equals(expected)) return 'other bytes came first';
  const rest = received.subarray(expected.length);
  if (rest.length === 0) return undefined;
  if (rest[0] !== 0x88) return `a frame that begins with ${rest[0]}`;
  const isMasked = ((rest[1] ?? 0) & 0x80) !== 0;
  const payload = Buffer.from(rest.subarray(isMasked ? 6 : 2));
  if (isMasked)
    for (let i = 0; i < payload.length; i += 1) payload[i] = (payload[i] ?? 0) ^ (rest[2 + (i % 4)] ?? 0);
  return payload.length === 2 ? payload.readUInt16BE() : `a close frame of ${payload.length} bytes`;
}
