// One stream of a client without a transport: the client's frames are the test's.
import { ByteBudget, parseConfig } from 'mitm-core';
import { H2Session } from 'mitm-http';

import { endHeaders, endStream, headersFrame } from '../../../testing/lab/h2-frames.ts';
import { Http2Inbound } from '../src/http2/inbound.ts';
import { sessionOptions } from '../src/http2/session-options.ts';
import { FramePeer } from './frame-text.ts';
import { RequestRecorder } from './recorders.ts';

const config = parseConfig({ interception: { destinations: ['*:*'] } });

/** A request on a stream of its own connection. */
export interface Asked {
  readonly inbound: Http2Inbound;
  readonly client: FramePeer;
  readonly session: H2Session;
  readonly receiver: RequestRecorder;
  /** The connection as the stream sees it. */
  readonly connection: { leavingCode: number | undefined; readonly budget: ByteBudget };
}

/** Opens stream 1 with these fields; nothing has been asked of the inbound yet. */
export function asked(
  fields: readonly string[],
  options: {
    readonly isEnded?: boolean;
    readonly windowBytes?: number;
    readonly budget?: ByteBudget;
  } = {},
): Asked {
  const opened: Http2Inbound[] = [];
  const { budget = new ByteBudget(() => 1_000_000) } = options;
  const connection = { leavingCode: undefined, budget };
  const session = new H2Session(sessionOptions(config, 'server', true), {
    request: (stream, head, isEnded) => {
      const inbound = new Http2Inbound(stream, head, isEnded, connection);
      stream.listener = inbound;
      opened.push(inbound);
    },
    headTooLarge: () => {},
    settings: () => {},
    goaway: () => {},
    failed: () => {},
    outputReady: () => {},
  });
  const { windowBytes } = options;
  const client = new FramePeer(
    session,
    'client',
    windowBytes === undefined ? {} : { initialWindowSize: windowBytes },
  );
  client.says(headersFrame(1, fields, endHeaders | (options.isEnded === true ? endStream : 0)));
  const [inbound] = opened;
  if (inbound === undefined) throw new Error('no request came');
  return { inbound, client, session, receiver: new RequestRecorder(), connection };
}
