// gRPC on both ends with @grpc/grpc-js: a service of all four kinds of calls whose messages are plain bytes, and a client that is
// sent through the proxy the way programs are, by the environment.
import {
  type ChannelOptions,
  Client,
  credentials,
  Metadata,
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  type ServiceError,
  type StatusObject,
  status,
} from '@grpc/grpc-js';

import type { LabAuthority } from './certificates.ts';
import { loopbackNames } from './http-origins.ts';

export const grpcService = 'lab.v1.Echo';

type Method = MethodDefinition<Buffer, Buffer>;

function asIs(bytes: Buffer): Buffer {
  return bytes;
}

function methodOf(name: string, requestStream: boolean, responseStream: boolean): Method {
  return {
    path: `/${grpcService}/${name}`,
    requestStream,
    responseStream,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
}

const methods = {
  unary: methodOf('Unary', false, false),
  hang: methodOf('Hang', false, false),
  fail: methodOf('Fail', false, false),
  collect: methodOf('Collect', true, false),
  count: methodOf('Count', false, true),
  chat: methodOf('Chat', true, true),
};

/** What the service says when it fails. */
export const failure = {
  code: status.FAILED_PRECONDITION,
  details: 'not today: 100 % sure, grüße',
  bin: Buffer.from([0, 1, 2, 254, 255]),
} as const;

export interface GrpcOrigin extends AsyncDisposable {
  readonly authority: string;
  /** How many calls the server has seen cancelled. */
  readonly cancelledCount: number;
}

/** Starts the service. Metadata `x-in` of a call comes back as `x-head` in the head and `x-trailer-bin` in the trailers. */
export async function startGrpcOrigin(authority: LabAuthority): Promise<GrpcOrigin> {
  let cancelledCount = 0;
  const server = new Server({ 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 });
  server.addService(methods, {
    unary: (call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) => {
      const [given] = call.metadata.get('x-in');
      const head = new Metadata();
      const trailer = new Metadata();
      if (given !== undefined) {
        head.set('x-head', given);
        trailer.set('x-trailer-bin', Buffer.from(String(given)));
      }
      call.sendMetadata(head);
      answer(null, call.request, trailer);
    },
    hang: (call: ServerUnaryCall<Buffer, Buffer>) => {
      call.on('cancelled', () => {
        cancelledCount += 1;
      });
    },
    fail: (_call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) => {
      const metadata = new Metadata();
      metadata.set('grpc-status-details-bin', failure.bin);
      answer({ code: failure.code, details: failure.details, metadata });
    },
    collect: (call: ServerReadableStream<Buffer, Buffer>, answer: sendUnaryData<Buffer>) => {
      const messages: Buffer[] = [];
      call.on('data', (message: Buffer) => messages.push(message));
      call.on('end', () => answer(null, Buffer.concat(messages)));
    },
    count: (call: ServerWritableStream<Buffer, Buffer>) => {
      const most = Number(call.request.toString());
      call.on('cancelled', () => {
        cancelledCount += 1;
      });
      for (let index = 0; index < most; index += 1) call.write(Buffer.from(String(index)));
      if (most < 1_000_000) call.end();
    },
    chat: (call: ServerDuplexStream<Buffer, Buffer>) => {
      call.on('data', (message: Buffer) => call.write(message));
      call.on('end', () => call.end());
    },
  });
  const { certPem, keyPem } = await authority.issue(loopbackNames);
  const secure = ServerCredentials.createSsl(null, [
    { cert_chain: Buffer.from(certPem), private_key: Buffer.from(keyPem) },
  ]);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', secure, (error, bound) => (error ? reject(error) : resolve(bound)));
  });
  return {
    authority: `localhost:${port}`,
    get cancelledCount() {
      return cancelledCount;
    },
    [Symbol.asyncDispose]: async () => {
      server.forceShutdown();
    },
  };
}

/** What a call gave. */
export interface GrpcOutcome {
  readonly messages: readonly Buffer[];
  readonly code: number;
  readonly details: string;
  readonly head: Metadata;
  readonly trailers: Metadata;
}

export interface GrpcCallOptions {
  readonly metadata?: Readonly<Record<string, string>>;
  readonly deadlineMs?: number;
  /** Cancels when the first message, or the first head, is there. */
  readonly isCancelled?: boolean;
}

/** A channel through the proxy that `grpc_proxy` names when it is made. */
export class GrpcClient {
  readonly #client: Client;

  constructor(authority: string, caPem: string, options: ChannelOptions = {}) {
    this.#client = new Client(authority, credentials.createSsl(Buffer.from(caPem)), {
      'grpc.max_receive_message_length': -1,
      ...options,
    });
  }

  /** Sends messages, as many as the kind of call has, and collects what comes. Never rejects. */
  call(
    name: keyof typeof methods,
    messages: readonly Buffer[],
    options: GrpcCallOptions = {},
  ): Promise<GrpcOutcome> {
    const method = methods[name];
    const metadata = new Metadata();
    for (const [key, value] of Object.entries(options.metadata ?? {})) metadata.set(key, value);
    const settings = options.deadlineMs === undefined ? {} : { deadline: Date.now() + options.deadlineMs };
    // Streaming both ways is what all four are on the wire.
    const call = this.#client.makeBidiStreamRequest(method.path, asIs, asIs, metadata, settings);
    return new Promise((resolve) => {
      const received: Buffer[] = [];
      let head = new Metadata();
      const cancel = (): void => {
        if (options.isCancelled === true) call.cancel();
      };
      call.on('metadata', (given: Metadata) => {
        head = given;
      });
      call.on('data', (message: Buffer) => {
        received.push(message);
        cancel();
      });
      call.on('error', (_error: ServiceError) => {}); // the status says it too
      call.on('status', ({ code, details, metadata: trailers }: StatusObject) =>
        resolve({ messages: received, code, details, head, trailers }),
      );
      for (const message of messages) call.write(message);
      call.end();
      if (name === 'hang' && options.isCancelled === true) setTimeout(cancel, 100);
    });
  }

  close(): void {
    this.#client.close();
  }
}
