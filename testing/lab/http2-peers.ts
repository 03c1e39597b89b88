// HTTP/2 on both ends with node:http2, which shares no code with the engine under test: an origin that answers as a test says, and
// a client that talks through a CONNECT.
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
  type OutgoingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type Settings,
} from 'node:http2';
import type { Duplex } from 'node:stream';

import type { LabAuthority } from './certificates.ts';
import { connectTunnel, destroyed, tlsOver } from './clients.ts';
import { loopbackNames } from './http-origins.ts';
import { type Listening, listen } from './listening.ts';

/** Answers one stream. `rawHeaders` has names and values in turn, in the order of the wire. */
export type StreamHandler = (
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  rawHeaders: readonly string[],
) => void | Promise<void>;

export interface Http2Origin extends Listening {
  /** `localhost:<port>`. */
  readonly authority: string;
  /** The sessions that were accepted, in order. */
  readonly sessions: readonly ServerHttp2Session[];
  /** The header lists of all streams, in order. */
  readonly heads: readonly (readonly string[])[];
}

export interface Http2OriginOptions {
  /** Speaks TLS with a certificate of this authority; without it, HTTP/2 by prior knowledge. */
  readonly authority?: LabAuthority;
  readonly settings?: Settings;
  readonly onStream?: StreamHandler;
}

const answerOk: StreamHandler = (stream) => {
  stream.respond({ ':status': 200, 'content-type': 'text/plain' });
  stream.end('ok');
};

/** An origin that speaks HTTP/2 only. */
export async function startHttp2Origin(options: Http2OriginOptions = {}): Promise<Http2Origin> {
  const sessions: ServerHttp2Session[] = [];
  const heads: (readonly string[])[] = [];
  const onStream = options.onStream ?? answerOk;
  const server = await serverFor(options);
  server.on('session', (session: ServerHttp2Session) => {
    sessions.push(session);
    session.on('error', () => {});
  });
  server.on(
    'stream',
    (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, _flags: number, rawHeaders: string[]) => {
      stream.on('error', () => {});
      heads.push(rawHeaders);
      // One that was reset together with its head is gone already.
      if (stream.destroyed) return;
      // A stream that breaks while it is read ends whoever reads it; the client is the one to say what came of it.
      void Promise.resolve(onStream(stream, headers, rawHeaders)).catch(() => stream.destroy());
    },
  );
  const listening = await listen(server);
  return {
    ...listening,
    authority: `localhost:${listening.port}`,
    sessions,
    heads,
    async [Symbol.asyncDispose]() {
      for (const session of sessions) session.destroy();
      await listening[Symbol.asyncDispose]();
    },
  };
}

async function serverFor(options: Http2OriginOptions): Promise<Http2Server | Http2SecureServer> {
  // Node's own guard against resets would end a connection that many clients of a proxy share.
  const guard = { streamResetBurst: 1_000_000, streamResetRate: 1_000_000 };
  const settings = { ...guard, ...(options.settings !== undefined && { settings: options.settings }) };
  if (options.authority === undefined) return createServer(settings);
  const { certPem, keyPem } = await options.authority.issue(loopbackNames);
  return createSecureServer({ ...settings, cert: certPem, key: keyPem });
}

export interface Http2ClientOptions {
  readonly proxyPort: number;
  /** The CONNECT target. */
  readonly authority: string;
  readonly ca: string;
  readonly settings?: Settings;
}

/** A session of node's own, which ends with its scope. */
export type Http2Client = ClientHttp2Session & AsyncDisposable;

/** A client session inside a tunnel of the proxy, in TLS. */
export async function http2ThroughProxy(options: Http2ClientOptions): Promise<Http2Client> {
  const { authority } = options;
  const tunnel = await connectTunnel(options.proxyPort, authority);
  const servername = authority.slice(0, authority.lastIndexOf(':'));
  const socket = await tlsOver(tunnel.socket, { servername, ca: options.ca, alpn: ['h2'] });
  return http2Over(socket, `https://${authority}`, options.settings);
}

/** A client session over a connection that stands. */
export function http2Over(socket: Duplex, origin: string, settings?: Settings): Http2Client {
  const session = connect(origin, {
    createConnection: () => socket,
    ...(settings === undefined ? {} : { settings }),
  });
  session.on('error', () => {});
  return Object.assign(session, {
    [Symbol.asyncDispose]: async (): Promise<void> => {
      session.destroy();
      await destroyed(socket);
    },
  });
}

/** How an exchange ended for a client. */
export interface Http2Answer {
  readonly headers: IncomingHttpHeaders & IncomingHttpStatusHeader;
  readonly trailers: IncomingHttpHeaders | undefined;
  readonly informational: readonly IncomingHttpHeaders[];
  readonly body: Buffer;
  /** 0 for a clean end. */
  readonly rstCode: number;
}

/** Sends a request and waits for the end of its stream, clean or not. */
export function askHttp2(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body?: Uint8Array | string,
): Promise<Http2Answer> {
  const stream = session.request(headers, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  return answerOf(stream);
}

/** Collects what comes on a stream until it is over. */
export function answerOf(stream: ClientHttp2Stream): Promise<Http2Answer> {
  return new Promise((resolve) => {
    let headers: IncomingHttpHeaders & IncomingHttpStatusHeader = {};
    let trailers: IncomingHttpHeaders | undefined;
    const informational: IncomingHttpHeaders[] = [];
    const pieces: Buffer[] = [];
    stream.on('headers', (interim: IncomingHttpHeaders) => informational.push(interim));
    stream.on('response', (final: IncomingHttpHeaders & IncomingHttpStatusHeader) => {
      headers = final;
    });
    stream.on('trailers', (given: IncomingHttpHeaders) => {
      trailers = given;
    });
    stream.on('data', (piece: Buffer) => pieces.push(piece));
    stream.on('error', () => {});
    stream.on('close', () =>
      resolve({
        headers,
        trailers,
        informational,
        body: Buffer.concat(pieces),
        rstCode: stream.rstCode ?? 0,
      }),
    );
  });
}
