// Two ends of a WebSocket that speak bytes, with a proxy between them: each may say what no library would, and hears what came through.
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';

import { ByteLog } from './byte-log.ts';
import { connectTunnel, destroyed } from './clients.ts';
import { Gate } from './gate.ts';
import { startRawOrigin } from './origins.ts';
import type { LabProxy } from './proxy.ts';

/** One end, after the handshake. */
interface RawEnd {
  readonly socket: Socket;
  readonly log: ByteLog;
  /** What came behind the handshake. */
  readonly received: Buffer;
  /** Writes bytes, in pieces of so many at a time if that is said. */
  send(bytes: Buffer, pieceBytes?: number): Promise<void>;
  /** What came, once it is at least so many bytes. */
  bytes(count: number): Promise<Buffer>;
  /** What came, once the other side has ended. */
  ended(): Promise<Buffer>;
}

export interface RawPair extends AsyncDisposable {
  readonly client: RawEnd;
  readonly server: RawEnd;
}

export interface RawPairs extends AsyncDisposable {
  /** Opens one more WebSocket. @param extensions what both ends offer and agree on */
  open(proxy: LabProxy, extensions?: string): Promise<RawPair>;
}

const key = 'dGhlIHNhbXBsZSBub25jZQ==';
const guid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const headEnd = '\r\n\r\n';

function endOf(socket: Socket, log: ByteLog): RawEnd {
  const start = log.received.indexOf(headEnd) + headEnd.length;
  return {
    socket,
    log,
    get received() {
      return log.received.subarray(start);
    },
    async send(bytes, pieceBytes = bytes.length) {
      for (let at = 0; at < bytes.length; at += pieceBytes) {
        socket.write(bytes.subarray(at, at + pieceBytes));
        // Each piece is a packet of its own.
        if (pieceBytes < bytes.length) await new Promise((resolve) => setImmediate(resolve));
      }
    },
    bytes: async (count) => (await log.until((all) => all.length - start >= count)).subarray(start),
    ended: async () => (await log.ended()).subarray(start),
  };
}

/** Starts the origin of all server ends. It speaks without TLS. */
export async function startRawPairs(): Promise<RawPairs> {
  const servers: Gate<RawEnd>[] = [];
  const origin = await startRawOrigin({
    onConnection: async (socket, index, log) => {
      const request = (await log.until(headEnd)).toString('latin1');
      const given = /Sec-WebSocket-Key: (\S+)/i.exec(request)?.[1] ?? '';
      const accept = createHash('sha1').update(`${given}${guid}`).digest('base64');
      const extensions = /Sec-WebSocket-Extensions: ([^\r]+)/i.exec(request)?.[0];
      const lines = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade'];
      lines.push(`Sec-WebSocket-Accept: ${accept}`, ...(extensions === undefined ? [] : [extensions]));
      socket.write(`${lines.join('\r\n')}${headEnd}`);
      servers[index]?.open(endOf(socket, log));
    },
  });
  return {
    async open(proxy, extensions) {
      const gate = new Gate<RawEnd>();
      servers.push(gate);
      const { socket } = await connectTunnel(proxy.port, origin.authority);
      const log = new ByteLog(socket);
      const lines = ['GET /chat HTTP/1.1', `Host: ${origin.authority}`, 'Upgrade: websocket'];
      lines.push('Connection: Upgrade', 'Sec-WebSocket-Version: 13', `Sec-WebSocket-Key: ${key}`);
      if (extensions !== undefined) lines.push(`Sec-WebSocket-Extensions: ${extensions}`);
      socket.write(`${lines.join('\r\n')}${headEnd}`);
      const server = await gate.opened;
      await log.until(headEnd);
      const client = endOf(socket, log);
      return {
        client,
        server,
        [Symbol.asyncDispose]: async () => {
          await Promise.all([destroyed(client.socket), destroyed(server.socket)]);
        },
      };
    },
    [Symbol.asyncDispose]: () => origin[Symbol.asyncDispose](),
  };
}
