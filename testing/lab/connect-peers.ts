// Connect on both ends, with @connectrpc/connect-node: one service of all four kinds of calls, whose description is put together here
// instead of being generated, and a transport through the proxy for each protocol that it speaks over HTTP/2.
import { createSecureServer } from 'node:http2';

import { create, createFileRegistry } from '@bufbuild/protobuf';
import type { GenService } from '@bufbuild/protobuf/codegenv2';
import {
  type BytesValue,
  BytesValueSchema,
  file_google_protobuf_wrappers,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from '@bufbuild/protobuf/wkt';
import { type Client, Code, ConnectError, createClient, type ServiceImpl } from '@connectrpc/connect';
import {
  compressionGzip,
  connectNodeAdapter,
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  Http2SessionManager,
} from '@connectrpc/connect-node';

import type { LabAuthority } from './certificates.ts';
import { connectTunnel, destroyed, tlsOver } from './clients.ts';
import { loopbackNames } from './http-origins.ts';
import { listen } from './listening.ts';

interface Call<Kind extends 'unary' | 'client_streaming' | 'server_streaming' | 'bidi_streaming'> {
  readonly methodKind: Kind;
  readonly input: typeof BytesValueSchema;
  readonly output: typeof BytesValueSchema;
}

// The shape that generated code has.
type EchoService = GenService<{
  unary: Call<'unary'>;
  fail: Call<'unary'>;
  hang: Call<'unary'>;
  collect: Call<'client_streaming'>;
  count: Call<'server_streaming'>;
  chat: Call<'bidi_streaming'>;
}>;

const wrapper = '.google.protobuf.BytesValue';

function method(name: string, clientStreaming: boolean, serverStreaming: boolean) {
  return { name, inputType: wrapper, outputType: wrapper, clientStreaming, serverStreaming };
}

function describeService(): EchoService {
  const file = create(FileDescriptorProtoSchema, {
    name: 'lab/v1/echo.proto',
    package: 'lab.v1',
    syntax: 'proto3',
    dependency: ['google/protobuf/wrappers.proto'],
    service: [
      {
        name: 'Echo',
        method: [
          method('Unary', false, false),
          method('Fail', false, false),
          method('Hang', false, false),
          method('Collect', true, false),
          method('Count', false, true),
          method('Chat', true, true),
        ],
      },
    ],
  });
  const set = create(FileDescriptorSetSchema, { file: [file_google_protobuf_wrappers.proto, file] });
  const service = createFileRegistry(set).getService('lab.v1.Echo');
  if (service === undefined) throw new Error('the description has no service');
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the registry knows it by its description, the compiler by its type
  return service as unknown as EchoService;
}

/** What a call that fails has in its details. */
export const errorDetail: Uint8Array = Buffer.from([0, 1, 2, 0xfe, 0xff, 0x0a]);

export interface ConnectOrigin extends AsyncDisposable {
  readonly authority: string;
  /** How many calls were given up by their client. */
  readonly abortedCount: number;
}

async function* count({ value }: BytesValue): AsyncGenerator<{ value: Uint8Array }> {
  for (let index = 0; index < Number(Buffer.from(value).toString()); index += 1)
    yield { value: Buffer.from(String(index)) };
}

async function* chat(requests: AsyncIterable<BytesValue>): AsyncGenerator<{ value: Uint8Array }> {
  for await (const { value } of requests) yield { value };
}

/** Starts the service, in Connect, gRPC and gRPC-web, over HTTP/2 in TLS. */
export async function startConnectOrigin(authority: LabAuthority): Promise<ConnectOrigin> {
  let abortedCount = 0;
  const implementation: ServiceImpl<EchoService> = {
    unary: (request, { requestHeader, responseHeader, responseTrailer }) => {
      const given = requestHeader.get('x-in');
      if (given !== null) {
        responseHeader.set('x-head', given);
        responseTrailer.set('x-trailer', given);
      }
      return { value: request.value };
    },
    fail: () => {
      const details = [{ desc: BytesValueSchema, value: { value: errorDetail } }];
      throw new ConnectError('not today', Code.FailedPrecondition, { 'x-why': 'closed' }, details);
    },
    hang: (_request, { signal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          abortedCount += 1;
          reject(new ConnectError('given up', Code.Canceled));
        });
      }),
    collect: async (requests) => {
      const values: Uint8Array[] = [];
      for await (const { value } of requests) values.push(value);
      return { value: Buffer.concat(values) };
    },
    count,
    chat,
  };
  const { certPem, keyPem } = await authority.issue(loopbackNames);
  const adapter = connectNodeAdapter({
    routes: (router) => router.service(describeService(), implementation),
    readMaxBytes: 0x7fff_ffff,
    // What a client accepts is compressed from this length on.
    compressMinBytes: 100,
  });
  const server = createSecureServer({ cert: certPem, key: keyPem }, adapter);
  const listening = await listen(server);
  return {
    authority: `localhost:${listening.port}`,
    get abortedCount() {
      return abortedCount;
    },
    [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose](),
  };
}

export const connectProtocols = ['connect', 'grpc', 'grpc-web'] as const;
export type ConnectProtocol = (typeof connectProtocols)[number];

export interface ConnectPeer extends AsyncDisposable {
  readonly echo: Client<EchoService>;
}

export interface ConnectPeerOptions {
  readonly proxyPort: number;
  readonly authority: string;
  readonly ca: string;
  /** Sends its messages in gzip, those above 100 bytes. */
  readonly isCompressing?: boolean;
}

/** A client through a tunnel of the proxy. */
export async function dialConnect(
  protocol: ConnectProtocol,
  options: ConnectPeerOptions,
): Promise<ConnectPeer> {
  const baseUrl = `https://${options.authority}`;
  const { socket } = await connectTunnel(options.proxyPort, options.authority);
  const secure = await tlsOver(socket, { servername: 'localhost', ca: options.ca, alpn: ['h2'] });
  const sessionManager = new Http2SessionManager(baseUrl, {}, { createConnection: () => secure });
  const compression = options.isCompressing === true ? { sendCompression: compressionGzip } : {};
  const common = {
    baseUrl,
    sessionManager,
    readMaxBytes: 0x7fff_ffff,
    compressMinBytes: 100,
    ...compression,
  };
  const transport =
    protocol === 'connect'
      ? createConnectTransport({ ...common, httpVersion: '2' })
      : protocol === 'grpc'
        ? createGrpcTransport(common)
        : createGrpcWebTransport({ ...common, httpVersion: '2' });
  return {
    echo: createClient(describeService(), transport),
    [Symbol.asyncDispose]: async () => {
      sessionManager.abort();
      await destroyed(secure);
    },
  };
}

/** Messages of these texts, one after the other. */
export async function* textMessages(...texts: readonly string[]): AsyncGenerator<{ value: Uint8Array }> {
  for (const text of texts) yield { value: Buffer.from(text) };
}

/** The texts of all messages. */
export async function textsOf(messages: AsyncIterable<BytesValue>): Promise<string[]> {
  const texts: string[] = [];
  for await (const { value } of messages) texts.push(Buffer.from(value).toString());
  return texts;
}
