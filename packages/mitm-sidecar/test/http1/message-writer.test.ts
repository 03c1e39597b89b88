// What one message looks like on the wire, and into how many writes it goes.
import { duplexPair } from 'node:stream';

import type { BodyFraming } from 'mitm-http';
import { describe, expect, test } from 'vitest';

import { MessageWriter } from '../../src/http1/message-writer.ts';
import { Wire } from '../../src/wire.ts';

interface Written {
  readonly writer: MessageWriter;
  readonly writes: () => string[];
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function writerOver(): Written {
  const [near, far] = duplexPair();
  const writes: string[] = [];
  far.on('data', (chunk: Buffer) => writes.push(chunk.toString('latin1')));
  return { writer: new MessageWriter(new Wire(near)), writes: () => writes };
}

const HEAD = 'HTTP/1.1 200 OK\r\n\r\n';
const length = (bytes: number): BodyFraming => ({ kind: 'length', length: bytes });
const chunked: BodyFraming = { kind: 'chunked' };

describe('one message', () => {
  const rows: readonly [string, BodyFraming, readonly string[], string][] = [
    ['without a body is its head', { kind: 'none' }, [], HEAD],
    ['with a length carries the pieces bare', length(6), ['abc', 'def'], `${HEAD}abcdef`],
    ['until close carries the pieces bare', { kind: 'until-close' }, ['abc'], `${HEAD}abc`],
    ['in chunks frames each piece', chunked, ['abc', 'de'], `${HEAD}3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n`],
    ['in chunks without a piece has the last chunk', chunked, [], `${HEAD}0\r\n\r\n`],
  ];
  test.each(rows)('%s', async (_rule, framing, pieces, expected) => {
    const { writer, writes } = writerOver();
    writer.begin(HEAD, framing);
    for (const piece of pieces) writer.data(Buffer.from(piece));
    writer.end(undefined);
    await turn();
    expect(writes().join('')).toBe(expected);
  });

  test('in chunks ends with its trailers', async () => {
    const { writer, writes } = writerOver();
    writer.begin(HEAD, chunked);
    writer.data(Buffer.from('x'));
    writer.end(['Digest', 'abc']);
    await turn();
    expect(writes().join('')).toBe(`${HEAD}1\r\nx\r\n0\r\nDigest: abc\r\n\r\n`);
  });
});

describe('writes', () => {
  test('the head waits for the first piece and leaves with it in one write', async () => {
    const { writer, writes } = writerOver();
    writer.begin(HEAD, length(3));
    await turn();
    expect(writes()).toEqual([]);
    writer.data(Buffer.from('abc'));
    await turn();
    expect(writes()).toEqual([`${HEAD}abc`]);
  });

  test('flush sends a head that no piece came for, once', async () => {
    const { writer, writes } = writerOver();
    writer.begin(HEAD, length(3));
    writer.flush();
    writer.flush();
    writer.data(Buffer.from('abc'));
    writer.end(undefined);
    await turn();
    expect(writes()).toEqual([HEAD, 'abc']);
  });

  test.each([16_384, 16_385, 100_000])('a piece of %i bytes arrives whole in its chunk', async (size) => {
    const { writer, writes } = writerOver();
    writer.begin(HEAD, chunked);
    writer.data(Buffer.alloc(size, 'p'));
    writer.end(undefined);
    await turn();
    await turn();
    expect(writes().join('')).toBe(`${HEAD}${size.toString(16)}\r\n${'p'.repeat(size)}\r\n0\r\n\r\n`);
  });

  test('a piece may be overwritten as soon as the call has returned', async () => {
    for (const size of [4, 40_000]) {
      const { writer, writes } = writerOver();
      const view = Buffer.alloc(size, 'a');
      writer.begin(HEAD, length(size));
      writer.data(view);
      view.fill('z');
      await turn();
      await turn();
      expect(writes().join('')).toBe(`${HEAD}${'a'.repeat(size)}`);
    }
  });

  test('a full stream asks the caller to wait', () => {
    const { writer } = writerOver();
    writer.begin(HEAD, chunked);
    expect(writer.data(Buffer.alloc(1_000_000))).toBe(false);
  });
});
