// An in-memory connection: what is written at one end is read at the other, and an end that is destroyed ends the other one,
// as a socket would. Node's own pair does the latter only in newer versions.
import { type Duplex, duplexPair } from 'node:stream';

/** The two ends of a connection. */
export function linkedPair(): [Duplex, Duplex] {
  const [one, other] = duplexPair();
  endWith(one, other);
  endWith(other, one);
  return [one, other];
}

function endWith(stream: Duplex, peer: Duplex): void {
  stream.once('close', () => {
    if (!peer.destroyed && !peer.readableEnded) peer.push(null);
  });
}
