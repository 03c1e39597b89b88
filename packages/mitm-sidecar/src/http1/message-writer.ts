// Writes one HTTP/1 message at a time to a wire: the head waits for the first piece of the body, so that both leave in
// one packet; bodies are framed as the receiver expects them.
import { type BodyFraming, encodeChunkHead, encodeLastChunk, type HeaderList } from 'mitm-http';

import type { Wire } from '../wire.ts';

/** Up to this size a piece is copied behind its head into one write; a larger one gets a write of its own. */
const JOIN_LIMIT_BYTES = 16_384;
const CRLF = '\r\n';

export class MessageWriter {
  readonly #wire: Wire;
  #head: string;
  #isChunked: boolean;

  constructor(wire: Wire) {
    this.#wire = wire;
    this.#head = '';
    this.#isChunked = false;
  }

  /** Begins a message. Nothing is written until the first piece, the end, or `flush`. */
  begin(head: string, framing: BodyFraming): void {
    this.#head = head;
    this.#isChunked = framing.kind === 'chunked';
  }

  /** Writes a piece of the body; a view whose memory its owner uses again. False asks to wait for the drain. */
  data(piece: Buffer): boolean {
    const head = this.#isChunked ? this.#head + encodeChunkHead(piece.length) : this.#head;
    const tail = this.#isChunked ? CRLF : '';
    if (head === '' && tail === '') return this.#wire.writeView(piece);
    this.#head = '';
    if (piece.length > JOIN_LIMIT_BYTES) {
      this.#wire.writeText(head);
      const isReady = this.#wire.writeView(piece);
      return tail === '' ? isReady : this.#wire.writeText(tail);
    }
    const joined = Buffer.allocUnsafe(head.length + piece.length + tail.length);
    joined.write(head, 0, 'latin1');
    piece.copy(joined, head.length);
    if (tail !== '') joined.write(tail, head.length + piece.length, 'latin1');
    return this.#wire.write(joined);
  }

  /** Ends the message. */
  end(trailers: HeaderList | undefined): void {
    const head = this.#head;
    this.#head = '';
    const text = this.#isChunked ? head + encodeLastChunk(trailers) : head;
    if (text !== '') this.#wire.writeText(text);
  }

  /** Writes a head that no piece has come for yet. */
  flush(): void {
    if (this.#head === '') return;
    const head = this.#head;
    this.#head = '';
    this.#wire.writeText(head);
  }
}
