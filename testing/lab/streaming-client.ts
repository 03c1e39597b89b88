// An HTTPS client through the proxy that shows an answer while it comes.
import { type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';
import { createGunzip, createZstdDecompress } from 'node:zlib';

import { connectTunnel, destroyed, tlsOver } from './clients.ts';
import { within } from './deadline.ts';
import type { LabProxy } from './proxy.ts';

const patienceMs = 10_000;

export interface StreamingClient extends AsyncDisposable {
  readonly headers: IncomingHttpHeaders;
  /** The bytes of the body so far, as they came. */
  readonly bytes: () => Buffer;
  /** The text of the body so far, without its coding. */
  readonly text: () => string;
  /** Resolves when the body is complete. */
  readonly ended: Promise<void>;
  readonly response: IncomingMessage;
}

export interface StreamingOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly path?: string;
  /** Leaves the body unread. */
  readonly isPaused?: boolean;
}

/** Asks and answers as soon as the head is there. */
export async function streamThroughProxy(
  proxy: Pick<LabProxy, 'port'> & { readonly ca: { readonly certificatePem: string } },
  url: string,
  options: StreamingOptions = {},
): Promise<StreamingClient> {
  const { host } = new URL(url);
  const tunnel = await connectTunnel(proxy.port, host);
  const socket = await tlsOver(tunnel.socket, { servername: 'localhost', ca: proxy.ca.certificatePem });
  const asked = request({
    createConnection: () => socket,
    path: options.path ?? '/',
    headers: { host, ...options.headers },
  });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    asked.once('response', resolve);
    asked.once('error', reject);
  });
  asked.end();
  const response = await within(answered, patienceMs, 'the head of an answer');
  const pieces: Buffer[] = [];
  const decoded: Buffer[] = [];
  const coding = response.headers['content-encoding'];
  const decoder = coding === 'gzip' ? createGunzip() : coding === 'zstd' ? createZstdDecompress() : undefined;
  decoder?.on('data', (piece: Buffer) => decoded.push(piece));
  decoder?.on('error', () => {});
  if (options.isPaused !== true) {
    response.on('data', (piece: Buffer) => {
      pieces.push(piece);
      if (decoder === undefined) decoded.push(piece);
      else decoder.write(piece);
    });
  }
  const ended = new Promise<void>((resolve, reject) => {
    response.once('end', resolve);
    response.once('error', reject);
  });
  ended.catch(() => {}); // whoever waits for it is told
  return {
    headers: response.headers,
    bytes: () => Buffer.concat(pieces),
    text: () => Buffer.concat(decoded).toString(),
    ended,
    response,
    async [Symbol.asyncDispose]() {
      decoder?.destroy();
      await destroyed(socket);
    },
  };
}
