// HPACK against Node's own HTTP/2 (nghttp2), both ways over a loopback socket: what its client sends is decoded here, and what is
// encoded here is understood by its server.
import { once } from 'node:events';
import { connect as connectHttp2, createServer as createHttp2Server, sensitiveHeaders } from 'node:http2';
import type { Http2Stream, IncomingHttpHeaders } from 'node:http2';
import { connect, createServer, Socket } from 'node:net';
import type { Server } from 'node:net';

import { expect, test } from 'vitest';

import { HpackDecoder } from '../../src/h2/hpack-decoder.ts';
import { HpackEncoder } from '../../src/h2/hpack-encoder.ts';

async function listen(server: Pick<Server, 'listen' | 'address'> & NodeJS.EventEmitter): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error(`no port in ${address}`);
  return address.port;
}

/** The field blocks of the first `count` HEADERS frames without padding or CONTINUATION that the socket receives. */
async function headerBlocks(socket: Socket, count: number): Promise<Buffer[]> {
  const blocks: Buffer[] = [];
  let bytes: Buffer = Buffer.alloc(0);
  let at = 24;
  for await (const chunk of socket) {
    if (!Buffer.isBuffer(chunk)) throw new TypeError('the socket gives text');
    bytes = Buffer.concat([bytes, chunk]);
    while (bytes.length >= at + 9 && bytes.length >= at + 9 + bytes.readUIntBE(at, 3)) {
      const end = at + 9 + bytes.readUIntBE(at, 3);
      const prioritySize = ((bytes[at + 4] ?? 0) & 0x20) === 0 ? 0 : 5;
      if (bytes[at + 3] === 1) blocks.push(bytes.subarray(at + 9 + prioritySize, end));
      at = end;
    }
    if (blocks.length >= count) break;
  }
  return blocks;
}

test('three requests of a node:http2 client come out as they were made', async () => {
  const server = createServer();
  const authority = `127.0.0.1:${await listen(server)}`;
  const accepted = once(server, 'connection');
  const client = connectHttp2(`http://${authority}`);
  client.on('error', () => {});
  const made = [1, 2, 3].map((n) => ({
    ':method': 'GET',
    ':path': `/items/${n}?q=a%20b`,
    'user-agent': 'Mozilla/5.0 (X11; Linux x86_64)',
    accept: 'text/html, */*;q=0.8',
    authorization: `Bearer ${n}`,
    cookie: 'a=b; c=d',
    'x-number': String(n),
    'x-bytes': 'caf\u00e9',
  }));
  try {
    for (const headers of made) client.request(headers, { endStream: true }).on('error', () => {});
    const [socket]: unknown[] = await accepted;
    if (!(socket instanceof Socket)) throw new Error('no connection came');
    socket.on('error', () => {});
    // Empty SETTINGS and the acknowledgement of the client's.
    socket.write(Buffer.from('000000040000000000000000040100000000', 'hex'));
    const blocks = await headerBlocks(socket, made.length);
    const decoder = new HpackDecoder();
    for (const [n, bytes] of blocks.entries()) {
      const block = decoder.decode(bytes, 0, bytes.length, 65_536);
      const pairs = Array.from({ length: block.fields.length / 2 }, (_, i) =>
        block.fields.slice(i * 2, i * 2 + 2),
      );
      expect(Object.fromEntries(pairs)).toEqual({ ...made[n], ':scheme': 'http', ':authority': authority });
      expect(block.fault).toBeUndefined();
      expect(block.sensitiveNames?.has('authorization')).toBe(true);
    }
    expect(blocks).toHaveLength(made.length);
  } finally {
    client.destroy();
    server.close();
  }
});

function frame(type: number, flags: number, streamId: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
}

test('a node:http2 server understands four requests as they were meant', async () => {
  const server = createHttp2Server();
  const port = await listen(server);
  const requests = [1, 2, 3, 4].map((n) => [
    ':method',
    'GET',
    ':scheme',
    'http',
    ':authority',
    'a.test',
    ':path',
    `/items/${n}`,
    'user-agent',
    'a long name of an agent, 1.0',
    'x-number',
    `${n % 2}`,
    'x-sent',
    `${n}`,
    'authorization',
    `Bearer ${n}`,
    'cookie',
    'a=b',
    'cookie',
    'session=0123456789abcdef',
    'x-bytes',
    'caf\u00e9',
  ]);
  const sensitiveNames = new Set(['authorization', 'x-sent']);
  const seen: string[][] = [];
  const sensitiveSeen: string[][] = [];
  const all = new Promise<void>((resolve, reject) => {
    server.on('sessionError', reject);
    server.on(
      'stream',
      (stream: Http2Stream, headers: IncomingHttpHeaders, _flags: number, raw: string[]) => {
        stream.on('error', () => {});
        seen.push(raw);
        const sensitive: unknown = Reflect.get(headers, sensitiveHeaders);
        sensitiveSeen.push(Array.isArray(sensitive) ? sensitive.map(String) : []);
        if (seen.length === requests.length) resolve();
      },
    );
  });
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  try {
    const encoder = new HpackEncoder();
    const blocks = requests.map((fields, n) => {
      if (n === 2) encoder.setMaxTableBytes(100);
      const out = Buffer.alloc(encoder.maxEncodedBytes(fields));
      return frame(1, 0x05, n * 2 + 1, out.subarray(0, encoder.encode(fields, out, 0, sensitiveNames)));
    });
    const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    socket.resume();
    socket.write(Buffer.concat([preface, frame(4, 0, 0, Buffer.alloc(0)), ...blocks]));
    await all;
    expect(seen).toEqual(requests);
    expect(sensitiveSeen.every((names) => names.includes('authorization') && names.includes('x-sent'))).toBe(
      true,
    );
  } finally {
    socket.destroy();
    server.close();
  }
});
