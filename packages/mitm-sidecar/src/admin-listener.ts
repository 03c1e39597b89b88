// A listener of its own for whoever watches the proxy: metrics and health, and nothing that changes anything. It shares no port
// with the traffic, so that a client of the proxy is never taken for its operator.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { type Engine, MitmError } from 'mitm-core';
import { formatAuthority } from 'mitm-http';
import { prometheusContentType, prometheusText } from 'mitm-observe';

import { type ListenAddress, reaches } from './upstream/loop-guard.ts';

export interface AdminListenerOptions {
  readonly bind: ListenAddress;
  readonly engine: Engine;
  /** False while the proxy shuts down. */
  readonly isServing: () => boolean;
}

/** Whoever asks sends a short head and nothing else, at once. */
const REQUEST_MS = 5_000;
const HEAD_BYTES = 8_192;
const MOST_CONNECTIONS = 64;

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

export class AdminListener {
  readonly address: ListenAddress;
  readonly #server: Server;

  private constructor(server: Server, address: ListenAddress) {
    this.#server = server;
    this.address = address;
  }

  /**
   * Binds and listens.
   *
   * @throws MitmError `ERR_MITM_LISTEN_FAILED` saying where
   */
  static open(options: AdminListenerOptions): Promise<AdminListener> {
    const { host, port } = options.bind;
    const server = createServer(
      {
        maxHeaderSize: HEAD_BYTES,
        headersTimeout: REQUEST_MS,
        requestTimeout: REQUEST_MS,
        keepAliveTimeout: REQUEST_MS,
      },
      (request, response) => answer(request, response, options),
    );
    server.maxConnections = MOST_CONNECTIONS;
    return new Promise((resolve, reject) => {
      server.once('error', (cause) => {
        const message = `cannot listen on ${formatAuthority(host, port)} for admin.bind: ${cause.message}`;
        reject(new MitmError('ERR_MITM_LISTEN_FAILED', message, { cause }));
      });
      server.listen({ host, port }, () => {
        server.removeAllListeners('error');
        server.on('error', (error) => options.engine.logger.error({ err: error }, 'admin listener failed'));
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a server that listens on TCP has such an address
        const bound = server.address() as AddressInfo;
        resolve(new AdminListener(server, { host: bound.address, port: bound.port }));
      });
    });
  }

  /** Stops listening and ends what is open; resolves when nothing is. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}

function answer(request: IncomingMessage, response: ServerResponse, options: AdminListenerOptions): void {
  const { status, type, body } = answerTo(request, options);
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    ...(status === 405 ? { allow: 'GET, HEAD' } : {}),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

function answerTo(request: IncomingMessage, { bind, engine, isServing }: AdminListenerOptions): Answer {
  if (!namesUs(request.headers.host, bind.host)) return plain(421, 'this host is not served here');
  if (request.method !== 'GET' && request.method !== 'HEAD') return plain(405, 'only GET and HEAD');
  const [path = ''] = (request.url ?? '').split('?', 1);
  switch (path) {
    case '/metrics':
      return { status: 200, type: prometheusContentType, body: prometheusText(engine.snapshot()) };
    case '/healthz':
      return isServing() ? plain(200, 'ok') : plain(503, 'draining');
    default:
      return plain(404, 'there are /metrics and /healthz');
  }
}

function plain(status: number, sentence: string): Answer {
  return { status, type: 'text/plain; charset=utf-8', body: `${sentence}\n` };
}

/**
 * Whether a Host field is one under which a loopback listener can have been asked on purpose: a page in a browser that let its own
 * name resolve to this machine names itself.
 */
function namesUs(host: string | undefined, bound: string): boolean {
  const isLoopback = bound !== '0.0.0.0' && bound !== '::' && reaches('localhost', bound);
  if (!isLoopback || host === undefined) return true;
  const name = /^(?:\[(?<v6>[^\]]+)\]|(?<name>[^:]*))(?::\d+)?$/.exec(host)?.groups;
  return reaches(name?.['v6'] ?? name?.['name'] ?? '', bound);
}
