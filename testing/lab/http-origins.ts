// Well-behaved HTTP/1 origins on node:http and node:https. They log each request as it came; what they answer is the test's.
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { SecureVersion, TLSSocket } from 'node:tls';

import type { IssuedCertificate, LabAuthority } from './certificates.ts';
import { defaultDeadlineMs, within } from './deadline.ts';
import { type Listening, listen, type ListenOptions } from './listening.ts';

/** A request as the origin saw it. The log has it from its head on; `body` grows while it arrives. */
interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly httpVersion: string;
  /** Names and values in turn, in the order and case of the wire. */
  readonly rawHeaders: readonly string[];
  readonly rawTrailers: readonly string[];
  readonly body: Buffer;
  /** Counts the origin's connections from 0: equal numbers mean one kept-alive connection. */
  readonly connectionIndex: number;
  /** Resolves with the body when the request is complete or its connection is gone. */
  readonly finished: Promise<Buffer>;
}

/** Answers one request. It may begin before the body is there; a throw breaks the connection and fails the disposal. */
export type OriginHandler = (
  seen: SeenRequest,
  response: ServerResponse,
  request: IncomingMessage,
) => void | Promise<void>;

/** What a TLS client of the origin offered and got. */
interface SeenHandshake {
  readonly servername: string | undefined;
  readonly alpn: string | undefined;
  readonly protocol: string | undefined;
}

export interface HttpOrigin extends Listening {
  /** `http(s)://localhost:<port>` without a trailing slash. */
  readonly url: string;
  /** `localhost:<port>`, as a CONNECT target or a Host field names it. */
  readonly authority: string;
  readonly requests: readonly SeenRequest[];
  /** The nth request (from 0) as soon as its head is there. */
  request(index: number, ms?: number): Promise<SeenRequest>;
}

export interface HttpsOrigin extends HttpOrigin {
  readonly handshakes: readonly SeenHandshake[];
}

export interface HttpsOriginOptions extends ListenOptions {
  readonly authority: LabAuthority;
  /** The names of its certificate; `localhost`, `127.0.0.1` and `::1` unless said. */
  readonly names?: readonly string[];
  /** Presents this certificate instead of a fresh, valid one. */
  readonly certificate?: IssuedCertificate;
  readonly handler?: OriginHandler;
  readonly alpn?: readonly string[];
  readonly minVersion?: SecureVersion;
  readonly maxVersion?: SecureVersion;
  readonly ciphers?: string;
  /** Asks for a client certificate of the lab authority and refuses clients without one. */
  readonly requireClientCertificate?: boolean;
}

/** The names that a lab certificate carries unless the test says otherwise. */
export const loopbackNames: readonly string[] = ['localhost', '127.0.0.1', '::1'];

const answerOk: OriginHandler = async (seen, response) => {
  await seen.finished;
  response.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': 2 }).end('ok');
};

class RequestLog {
  readonly requests: SeenRequest[] = [];
  readonly failures: unknown[] = [];
  readonly #handler: OriginHandler;
  readonly #connections = new WeakMap<object, number>();
  readonly #waiters = new Set<() => void>();
  #connectionCount = 0;

  constructor(handler: OriginHandler) {
    this.#handler = handler;
  }

  readonly listener: RequestListener = (request, response) => {
    const seen = this.#record(request);
    Promise.resolve()
      .then(() => this.#handler(seen, response, request))
      .catch((error: unknown) => {
        this.failures.push(error);
        response.destroy();
      });
  };

  async request(index: number, ms = defaultDeadlineMs): Promise<SeenRequest> {
    let look: (() => void) | undefined;
    const arrived = new Promise<SeenRequest>((resolve) => {
      look = () => {
        const seen = this.requests[index];
        if (seen) resolve(seen);
      };
      this.#waiters.add(look);
      look();
    });
    try {
      return await within(arrived, ms, () => `request ${index} (the origin saw ${this.requests.length})`);
    } finally {
      if (look) this.#waiters.delete(look);
    }
  }

  #connectionIndex(socket: object): number {
    const known = this.#connections.get(socket);
    if (known !== undefined) return known;
    const index = this.#connectionCount;
    this.#connections.set(socket, index);
    this.#connectionCount += 1;
    return index;
  }

  #record(request: IncomingMessage): SeenRequest {
    const chunks: Buffer[] = [];
    const bodyNow = (): Buffer => Buffer.concat(chunks);
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    const finished = new Promise<Buffer>((resolve) => {
      request.once('end', () => resolve(bodyNow()));
      request.once('close', () => resolve(bodyNow()));
    });
    request.on('error', () => {}); // a client that goes away is told by `finished` and the test's own client
    const seen: SeenRequest = {
      method: request.method ?? '',
      url: request.url ?? '',
      httpVersion: request.httpVersion,
      rawHeaders: request.rawHeaders,
      get rawTrailers() {
        return request.rawTrailers;
      },
      get body() {
        return bodyNow();
      },
      connectionIndex: this.#connectionIndex(request.socket),
      finished,
    };
    this.requests.push(seen);
    for (const look of this.#waiters) look();
    return seen;
  }
}

function asOrigin(listening: Listening, log: RequestLog, scheme: 'http' | 'https'): HttpOrigin {
  const authority = `localhost:${listening.port}`;
  return {
    port: listening.port,
    url: `${scheme}://${authority}`,
    authority,
    requests: log.requests,
    request: (index, ms) => log.request(index, ms),
    get connectionCount() {
      return listening.connectionCount;
    },
    get openCount() {
      return listening.openCount;
    },
    async [Symbol.asyncDispose]() {
      await listening[Symbol.asyncDispose]();
      if (log.failures.length > 0) throw new AggregateError(log.failures, "an origin's handler failed");
    },
  };
}

/** A plaintext HTTP/1 origin. Without a handler it reads the request and answers 200 `ok`. */
export async function startHttpOrigin(
  handler: OriginHandler = answerOk,
  options: ListenOptions = {},
): Promise<HttpOrigin> {
  const log = new RequestLog(handler);
  const listening = await listen(createHttpServer(log.listener), options);
  return asOrigin(listening, log, 'http');
}

/** A TLS HTTP/1 origin with a certificate of the given authority. It also logs what each handshake negotiated. */
export async function startHttpsOrigin(options: HttpsOriginOptions): Promise<HttpsOrigin> {
  const { authority, names = loopbackNames, handler = answerOk, alpn = ['http/1.1'] } = options;
  const certificate = options.certificate ?? (await authority.issue(names));
  const log = new RequestLog(handler);
  const handshakes: SeenHandshake[] = [];
  const server = createHttpsServer(
    {
      key: certificate.keyPem,
      cert: certificate.certPem,
      ALPNProtocols: [...alpn],
      ...(options.minVersion && { minVersion: options.minVersion }),
      ...(options.maxVersion && { maxVersion: options.maxVersion }),
      ...(options.ciphers !== undefined && { ciphers: options.ciphers }),
      ...(options.requireClientCertificate === true && {
        requestCert: true,
        rejectUnauthorized: true,
        ca: authority.caPem,
      }),
    },
    log.listener,
  );
  server.on('secureConnection', (socket: TLSSocket) => {
    handshakes.push({
      servername: typeof socket.servername === 'string' ? socket.servername : undefined,
      alpn: typeof socket.alpnProtocol === 'string' ? socket.alpnProtocol : undefined,
      protocol: socket.getProtocol() ?? undefined,
    });
  });
  const listening = await listen(server, options);
  // A spread would freeze the live counters of the inner object, so the log is added to it in place.
  return Object.assign(asOrigin(listening, log, 'https'), { handshakes });
}

export interface SseOriginOptions extends ListenOptions {
  /** Each is sent as one event: its `data` lines, or the raw text where it contains a line break. */
  readonly events: readonly string[];
  /** The pause between two events. */
  readonly intervalMs: number;
}

/** An origin that answers every request with a stream of server-sent events and then ends the answer. */
export async function startSseOrigin({
  events,
  intervalMs,
  ...options
}: SseOriginOptions): Promise<HttpOrigin> {
  return await startHttpOrigin(async (_seen, response) => {
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
    for (const [index, event] of events.entries()) {
      if (index > 0) await pause(intervalMs, gone.signal);
      if (gone.signal.aborted) return;
      response.write(event.includes('\n') ? event : `data: ${event}\n\n`);
    }
    response.end();
  }, options);
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
