// Origins that speak bytes instead of HTTP: scripts that say exactly what a test wants, and the peers that greet first, echo,
// stay silent or are not there at all.
import { createServer as createTcpServer, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';

import { ByteLog } from './byte-log.ts';
import type { IssuedCertificate, LabAuthority } from './certificates.ts';
import { loopbackNames } from './http-origins.ts';
import { type Listening, listen, type ListenOptions } from './listening.ts';

/**
 * Drives one connection. `log` reads it: wait with `await log.until('\r\n\r\n')`, then write to `socket`. A throw destroys the
 * connection and fails the disposal, unless the disposal itself broke the script off.
 */
export type RawScript = (socket: Socket, index: number, log: ByteLog) => void | Promise<void>;

export interface RawOriginOptions extends ListenOptions {
  /** Speaks TLS, and counts a connection for the script once its handshake is done. */
  readonly tls?: {
    readonly authority: LabAuthority;
    readonly names?: readonly string[];
    readonly certificate?: IssuedCertificate;
    readonly alpn?: readonly string[];
  };
  readonly onConnection?: RawScript;
}

export interface RawOrigin extends Listening {
  /** `localhost:<port>`. */
  readonly authority: string;
  /** What each connection received, in the order of acceptance. */
  readonly connections: readonly ByteLog[];
}

class ScriptRunner {
  readonly connections: ByteLog[] = [];
  readonly failures: unknown[] = [];
  #isEnding = false;
  readonly #script: RawScript;

  constructor(script: RawScript) {
    this.#script = script;
  }

  readonly accept = (socket: Socket): void => {
    const log = new ByteLog(socket);
    const index = this.connections.push(log) - 1;
    Promise.resolve()
      .then(() => this.#script(socket, index, log))
      .catch((error: unknown) => {
        if (!this.#isEnding) this.failures.push(error);
        socket.destroy();
      });
  };

  end(): void {
    this.#isEnding = true;
  }
}

async function tlsServerFor(tls: NonNullable<RawOriginOptions['tls']>, accept: (socket: Socket) => void) {
  const certificate = tls.certificate ?? (await tls.authority.issue(tls.names ?? loopbackNames));
  return createTlsServer(
    {
      key: certificate.keyPem,
      cert: certificate.certPem,
      allowHalfOpen: true,
      noDelay: true,
      ...(tls.alpn && { ALPNProtocols: [...tls.alpn] }),
    },
    accept,
  );
}

/** A byte-level origin. It writes and closes nothing by itself, not even in answer to the client's FIN. */
export async function startRawOrigin(options: RawOriginOptions = {}): Promise<RawOrigin> {
  const runner = new ScriptRunner(options.onConnection ?? (() => {}));
  const server = options.tls
    ? await tlsServerFor(options.tls, runner.accept)
    : createTcpServer({ allowHalfOpen: true, noDelay: true }, runner.accept);
  const listening = await listen(server, options);
  return {
    port: listening.port,
    authority: `localhost:${listening.port}`,
    connections: runner.connections,
    get connectionCount() {
      return listening.connectionCount;
    },
    get openCount() {
      return listening.openCount;
    },
    async [Symbol.asyncDispose]() {
      runner.end();
      await listening[Symbol.asyncDispose]();
      if (runner.failures.length > 0) throw new AggregateError(runner.failures, "an origin's script failed");
    },
  };
}

/** Sends back what it receives, and its FIN after the client's. */
export async function startTcpEcho(options: ListenOptions = {}): Promise<RawOrigin> {
  return await startRawOrigin({
    ...options,
    onConnection: (socket) => {
      socket.on('data', (chunk) => socket.write(chunk));
      socket.on('end', () => socket.end());
    },
  });
}

/** Speaks first, as SSH, SMTP and MySQL do: writes the banner at once, then echoes. */
export async function startBannerOrigin(banner: string, options: ListenOptions = {}): Promise<RawOrigin> {
  return await startRawOrigin({
    ...options,
    onConnection: (socket) => {
      socket.write(banner, 'latin1');
      socket.on('data', (chunk) => socket.write(chunk));
      socket.on('end', () => socket.end());
    },
  });
}

/** Accepts connections and never says a word. */
export async function startSilentOrigin(options: ListenOptions = {}): Promise<RawOrigin> {
  return await startRawOrigin(options);
}

/** A loopback port on which nobody listens: it was free a moment ago, and connecting to it is refused. */
export async function refusedPort(): Promise<number> {
  await using listening = await listen(createTcpServer());
  return listening.port;
}
