// The first bytes that Node's own TLS client sends.
import { once } from 'node:events';
import { duplexPair } from 'node:stream';
import { connect, type ConnectionOptions } from 'node:tls';

/** The ClientHello of a client with these options, record header included. */
export async function realHello(options: ConnectionOptions): Promise<Buffer> {
  const [left, right] = duplexPair();
  const client = connect({ socket: left, servername: 'example.test', ...options });
  client.on('error', () => {});
  const [bytes] = await once(right, 'data');
  client.destroy();
  right.destroy();
  return bytes;
}
