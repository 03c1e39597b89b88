// ClientHellos: real ones, caught from clients, and ones put together field by field.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:https';
import { createServer } from 'node:net';
import { duplexPair } from 'node:stream';
import { connect, type ConnectionOptions } from 'node:tls';

const uint8 = (value: number): Buffer => Buffer.of(value);
const uint16 = (value: number): Buffer => Buffer.of(value >> 8, value & 0xff);
const uint24 = (value: number): Buffer => Buffer.of(value >> 16, (value >> 8) & 0xff, value & 0xff);
const vector8 = (...parts: readonly Buffer[]): Buffer => {
  const body = Buffer.concat(parts);
  return Buffer.concat([uint8(body.length), body]);
};
const vector16 = (...parts: readonly Buffer[]): Buffer => {
  const body = Buffer.concat(parts);
  return Buffer.concat([uint16(body.length), body]);
};

export interface HelloFields {
  readonly legacyVersion?: number;
  readonly sessionId?: Buffer;
  readonly cipherSuites?: readonly number[];
  /** Type and data of each extension; undefined leaves the whole block out. */
  readonly extensions?: readonly (readonly [number, Buffer])[] | undefined;
  /** Octets behind the end of the hello, inside its message. */
  readonly trailer?: Buffer;
}

/** The body of a ClientHello message. */
export function helloBody(fields: HelloFields = {}): Buffer {
  const extensions = fields.extensions?.map(([type, data]) => Buffer.concat([uint16(type), vector16(data)]));
  return Buffer.concat([
    uint16(fields.legacyVersion ?? 0x0303),
    Buffer.alloc(32, 1),
    vector8(fields.sessionId ?? Buffer.alloc(0)),
    vector16(...(fields.cipherSuites ?? [0x1301]).map(uint16)),
    vector8(uint8(0)),
    ...(extensions === undefined ? [] : [vector16(...extensions)]),
    fields.trailer ?? Buffer.alloc(0),
  ]);
}

/** A handshake message in records of at most `recordLength` octets. */
export function inRecords(body: Buffer, recordLength = 16_384, messageType = 1): Buffer {
  const message = Buffer.concat([uint8(messageType), uint24(body.length), body]);
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += recordLength) {
    records.push(Buffer.from([22, 3, 1]), vector16(message.subarray(at, at + recordLength)));
  }
  return Buffer.concat(records);
}

/** Contents of extensions. */
export const extension = {
  serverName: (...names: readonly string[]): [number, Buffer] => [
    0,
    vector16(...names.map((name) => Buffer.concat([uint8(0), vector16(Buffer.from(name, 'latin1'))]))),
  ],
  alpn: (...protocols: readonly string[]): [number, Buffer] => [
    16,
    vector16(...protocols.map((protocol) => vector8(Buffer.from(protocol, 'latin1')))),
  ],
  groups: (...values: readonly number[]): [number, Buffer] => [10, vector16(...values.map(uint16))],
  pointFormats: (...values: readonly number[]): [number, Buffer] => [11, vector8(...values.map(uint8))],
  signatureAlgorithms: (...values: readonly number[]): [number, Buffer] => [
    13,
    vector16(...values.map(uint16)),
  ],
  supportedVersions: (...values: readonly number[]): [number, Buffer] => [43, vector8(...values.map(uint16))],
  raw: (type: number, hex = ''): [number, Buffer] => [type, Buffer.from(hex, 'hex')],
};

/** The hello that `tls.connect` of this Node sends. */
export async function helloOfNode(options: ConnectionOptions = {}): Promise<Buffer> {
  const [left, right] = duplexPair();
  const client = connect({ socket: left, ...options });
  client.on('error', () => {});
  const [bytes] = await once(right, 'data');
  client.destroy();
  return bytes;
}

/** The hello of this Node's https client for a host name. */
export async function helloOfHttps(servername: string): Promise<Buffer> {
  return caughtHello((port) => {
    const client = request({ host: '127.0.0.1', port, servername });
    client.on('error', () => {});
    client.end();
    return () => client.destroy();
  });
}

/** The hello of `openssl s_client` for a host name. */
export async function helloOfOpenSsl(servername: string): Promise<Buffer> {
  return caughtHello((port) => {
    const child = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, '-servername', servername], {
      stdio: 'ignore',
    });
    return () => child.kill();
  });
}

/** The hello of curl for a URL of a host name. */
export async function helloOfCurl(hostName: string): Promise<Buffer> {
  return caughtHello((port) => {
    const way = ['--resolve', `${hostName}:${port}:127.0.0.1`, '--noproxy', '*'];
    const child = spawn('curl', ['-q', '-sk', ...way, `https://${hostName}:${port}/`], { stdio: 'ignore' });
    return () => child.kill();
  });
}

const pythonHello = `import socket, ssl, sys
raw = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
context = ssl.create_default_context()
context.set_alpn_protocols(['http/1.1'])
context.wrap_socket(raw, server_hostname=sys.argv[2])
`;

/** The hello of Python's ssl module for a host name. */
export async function helloOfPython(servername: string): Promise<Buffer> {
  return caughtHello((port) => {
    const child = spawn('python3', ['-c', pythonHello, String(port), servername], { stdio: 'ignore' });
    return () => child.kill();
  });
}

/** The hello of wget for localhost. */
export async function helloOfWget(): Promise<Buffer> {
  return caughtHello((port) => {
    const args = [
      '-q',
      '-O',
      '-',
      '--no-proxy',
      '--no-check-certificate',
      '-t',
      '1',
      `https://localhost:${port}/`,
    ];
    const child = spawn('wget', args, { stdio: 'ignore' });
    return () => child.kill();
  });
}

/** The hello that comes first to a port for which `start` starts a client; what it returns ends that client. */
export async function caughtHello(start: (port: number) => () => void): Promise<Buffer> {
  const server = createServer();
  // Who connects for later says nothing: the first to speak is the one.
  const spoken = new Promise<Buffer>((resolve) => {
    server.on('connection', (socket) => {
      socket.on('error', () => {});
      const pieces: Buffer[] = [];
      socket.on('data', (piece: Buffer) => {
        pieces.push(piece);
        const bytes = Buffer.concat(pieces);
        if (bytes.length < 5 || bytes.length < 5 + bytes.readUInt16BE(3)) return;
        socket.destroy();
        resolve(bytes);
      });
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  const stop = start(address !== null && typeof address === 'object' ? address.port : 0);
  try {
    return await spoken;
  } finally {
    stop();
    server.close();
  }
}
