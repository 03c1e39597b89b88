// Clients of the proxy: a raw CONNECT, TLS over what it gives, one HTTPS exchange through both, and curl as a stranger's opinion.
import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { type IncomingMessage, request as httpRequest } from 'node:http';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { delimiter, join } from 'node:path';
import type { Duplex } from 'node:stream';
import { connect as connectTlsSocket, type DetailedPeerCertificate, type TLSSocket } from 'node:tls';

import { ByteLog, type Until } from './byte-log.ts';
import { defaultDeadlineMs, within } from './deadline.ts';

/** A TCP connection to a loopback port, once it stands. */
export async function dialLoopback(port: number, host = '127.0.0.1'): Promise<Socket> {
  const socket = connectTcp({ host, port, noDelay: true });
  const connected = new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  await within(connected, defaultDeadlineMs, `a connection to ${host}:${port}`);
  return socket;
}

/** The proxy's answer to a CONNECT, and the socket behind it, paused. Disposing of it destroys the socket. */
export interface ClientTunnel extends AsyncDisposable {
  readonly statusLine: string;
  readonly status: number;
  /** The answer's head with its blank line, as it came. */
  readonly headText: string;
  readonly socket: Socket;
  /** What followed the head in the same read; it is not put back into the socket. */
  readonly rest: Buffer;
}

export interface ConnectOptions {
  /** Further header lines of the CONNECT, names and values in turn. */
  readonly headers?: readonly string[];
  /** Bytes sent in the same write as the CONNECT head. */
  readonly early?: Uint8Array;
  readonly deadlineMs?: number;
}

/** Sends `CONNECT authority` to the proxy and reads its answer's head, whatever the status. */
export async function connectTunnel(
  proxyPort: number,
  authority: string,
  options: ConnectOptions = {},
): Promise<ClientTunnel> {
  const { headers = [], early = Buffer.alloc(0), deadlineMs = defaultDeadlineMs } = options;
  const socket = await dialLoopback(proxyPort);
  const log = new ByteLog(socket);
  const lines = [`CONNECT ${authority} HTTP/1.1`, `Host: ${authority}`];
  for (let index = 0; index < headers.length; index += 2)
    lines.push(`${headers[index]}: ${headers[index + 1]}`);
  try {
    socket.write(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), early]));
    await log.until('\r\n\r\n', deadlineMs);
  } catch (error) {
    socket.destroy();
    throw error;
  }
  const received = log.release();
  const headEnd = received.indexOf('\r\n\r\n') + 4;
  const headText = received.toString('latin1', 0, headEnd);
  const statusLine = headText.slice(0, headText.indexOf('\r\n'));
  return {
    statusLine,
    status: Number(statusLine.split(' ')[1]),
    headText,
    socket,
    rest: received.subarray(headEnd),
    async [Symbol.asyncDispose]() {
      await destroyed(socket);
    },
  };
}

/** Destroys a socket and resolves when it is closed. */
export async function destroyed(socket: Duplex): Promise<void> {
  if (socket.closed) return;
  const closed = new Promise<void>((resolve) => {
    socket.once('close', resolve);
  });
  socket.on('error', () => {}); // whoever destroys a socket has seen what there was to see
  socket.destroy();
  await within(closed, defaultDeadlineMs, "the socket's close");
}

export interface TlsOverOptions {
  /** The name to verify; as SNI only where it is no IP address. */
  readonly servername: string;
  /** PEM of the only authority that is trusted. */
  readonly ca: string;
  readonly alpn?: readonly string[];
  readonly deadlineMs?: number;
}

/** A verified TLS client handshake over an open socket; rejects with the handshake's error. */
export async function tlsOver(socket: Duplex, options: TlsOverOptions): Promise<TLSSocket> {
  const secure = connectTlsSocket({
    socket,
    // Newer releases of Node refuse an address as SNI; it is verified as the host then.
    ...(isIP(options.servername) === 0
      ? { servername: options.servername }
      : { servername: '', host: options.servername }),
    ca: options.ca,
    ...(options.alpn && { ALPNProtocols: [...options.alpn] }),
  });
  const ready = new Promise<void>((resolve, reject) => {
    secure.once('secureConnect', resolve);
    secure.once('error', reject);
    secure.once('close', () => reject(new Error('the connection closed during the TLS handshake')));
  });
  try {
    await within(ready, options.deadlineMs ?? defaultDeadlineMs, 'the TLS handshake');
  } catch (error) {
    secure.destroy();
    throw error;
  }
  return secure;
}

export interface RawExchangeOptions {
  /** When to stop reading; the peer's end unless said. */
  readonly until?: Until;
  readonly deadlineMs?: number;
}

/** Writes bytes (text is latin1) and answers what came back; rejects after the deadline, showing what did. */
export async function rawExchange(
  socket: Duplex,
  bytes: string | Uint8Array,
  { until, deadlineMs = defaultDeadlineMs }: RawExchangeOptions = {},
): Promise<Buffer> {
  const log = new ByteLog(socket);
  try {
    socket.write(bytes, 'latin1');
    return await (until === undefined ? log.ended(deadlineMs) : log.until(until, deadlineMs));
  } finally {
    log.release();
  }
}

/** One answer, complete. */
export interface ExchangeAnswer {
  readonly status: number;
  readonly reason: string;
  readonly rawHeaders: readonly string[];
  readonly rawTrailers: readonly string[];
  readonly body: Buffer;
}

export interface TlsExchangeAnswer extends ExchangeAnswer {
  /** The certificate that the client was shown. */
  readonly peerCertificate: DetailedPeerCertificate;
  readonly alpn: string | undefined;
}

export interface ExchangeOptions {
  readonly proxyPort: number;
  readonly url: string;
  readonly method?: string;
  /** Names and values in turn, sent as given; `Host` is added unless among them. */
  readonly headers?: readonly string[];
  readonly body?: string | Uint8Array;
  readonly deadlineMs?: number;
}

export interface TlsExchangeOptions extends ExchangeOptions {
  /** PEM of the only authority that the client trusts. */
  readonly ca: string;
  readonly alpn?: readonly string[];
}

/** What {@link httpsThroughProxy} rejects with when the CONNECT is not answered by a 2xx. */
export class TunnelRefusedError extends Error {
  override readonly name = 'TunnelRefusedError';
  readonly headText: string;

  constructor(statusLine: string, headText: string) {
    super(`the proxy answered the CONNECT with ${JSON.stringify(statusLine)}`);
    this.headText = headText;
  }
}

function flatHeaders(options: ExchangeOptions, url: URL): string[] {
  const headers = [...(options.headers ?? [])];
  const names = new Set(headers.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase()));
  if (!names.has('host')) headers.unshift('Host', url.host);
  if (options.body !== undefined && !names.has('content-length') && !names.has('transfer-encoding')) {
    headers.push('Content-Length', String(Buffer.byteLength(options.body)));
  }
  return headers;
}

async function answerOf(socket: Duplex, path: string, options: ExchangeOptions): Promise<ExchangeAnswer> {
  const answer = new Promise<ExchangeAnswer>((resolve, reject) => {
    const request = httpRequest({
      createConnection: () => socket,
      method: options.method ?? 'GET',
      path,
      headers: flatHeaders(options, new URL(options.url)),
      setDefaultHeaders: false,
    });
    request.once('error', reject);
    request.once('response', (response: IncomingMessage) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', reject);
      response.once('end', () => {
        resolve({
          status: response.statusCode ?? 0,
          reason: response.statusMessage ?? '',
          rawHeaders: response.rawHeaders,
          rawTrailers: response.rawTrailers,
          body: Buffer.concat(chunks),
        });
      });
    });
    request.end(options.body);
  });
  return await within(answer, options.deadlineMs ?? defaultDeadlineMs, `the answer to ${options.url}`);
}

/** One HTTPS exchange through CONNECT on connections of its own, which are closed afterwards. */
export async function httpsThroughProxy(options: TlsExchangeOptions): Promise<TlsExchangeAnswer> {
  const url = new URL(options.url);
  const target = `${url.hostname}:${url.port === '' ? 443 : url.port}`;
  await using tunnel = await connectTunnel(options.proxyPort, target);
  if (tunnel.status < 200 || tunnel.status > 299) {
    throw new TunnelRefusedError(tunnel.statusLine, tunnel.headText);
  }
  const secure = await tlsOver(tunnel.socket, {
    servername: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    ca: options.ca,
    ...(options.alpn && { alpn: options.alpn }),
  });
  try {
    const answer = await answerOf(secure, `${url.pathname}${url.search}`, options);
    return {
      ...answer,
      peerCertificate: secure.getPeerCertificate(true),
      alpn: typeof secure.alpnProtocol === 'string' ? secure.alpnProtocol : undefined,
    };
  } finally {
    await destroyed(secure);
  }
}

/** One plaintext exchange in absolute form, as clients talk to a forward proxy. */
export async function httpThroughProxy(options: ExchangeOptions): Promise<ExchangeAnswer> {
  const socket = await dialLoopback(options.proxyPort);
  try {
    return await answerOf(socket, options.url, options);
  } finally {
    await destroyed(socket);
  }
}

/** How a program ended. `code` is undefined when a signal ended it. */
export interface ProgramResult {
  readonly code: number | undefined;
  readonly stdout: Buffer;
  readonly stderr: string;
}

function isProxyName(name: string): boolean {
  return /^(https?|all|no)_proxy$/i.test(name);
}

/**
 * Runs curl with no configuration and no proxy from the environment. It is killed, and the promise rejected, after `timeoutMs`
 * (10 s unless said).
 */
export async function curl(
  args: readonly string[],
  { timeoutMs = 10_000 }: { readonly timeoutMs?: number } = {},
): Promise<ProgramResult> {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !isProxyName(name)));
  const child = spawn('curl', ['-q', ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  const ended = new Promise<number | undefined>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? undefined));
  });
  try {
    const code = await within(ended, timeoutMs, () => `curl's end (${Buffer.concat(stderr).toString()})`);
    return { code, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString() };
  } finally {
    child.kill('SIGKILL'); // no effect on one that has ended
  }
}

/** Whether a program of that name is on the PATH. Use it as `test.skipIf(!(await hasCommand('curl')))`. */
export async function hasCommand(name: string): Promise<boolean> {
  const candidates = (process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, name));
  const found = await Promise.allSettled(candidates.map((file) => access(file, constants.X_OK)));
  return found.some(({ status }) => status === 'fulfilled');
}
