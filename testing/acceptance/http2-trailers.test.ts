// Trailers: they pass whole and in their order between all versions, and what may not be a trailer never arrives as one.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import {
  dataFrame,
  encodeFields,
  endHeaders,
  endStream,
  frame,
  frameTypes,
  headersFrame,
} from '../lab/h2-frames.ts';
import { dialRawPeer, getFields, postFields, type RawPeer, startRawH2Origin } from '../lab/h2-raw-peers.ts';
import { startRawOrigin } from '../lab/origins.ts';
import { type LabProxy, startProxy } from '../lab/proxy.ts';

let authority: LabAuthority;
beforeAll(async () => {
  authority = await createLabAuthority();
});
afterAll(() => authority[Symbol.asyncDispose]());

const bridged = { http2Bridge: true } as const;

function dialRaw(proxy: LabProxy, target: string) {
  return dialRawPeer({ ...proxy.forClients, authority: target });
}

describe('trailers of an origin of HTTP/1', () => {
  test.each([
    ['pass', ''],
    // An origin that sends these costs its client nothing; no reader may merge them into the head.
    ['lose content-length', 'Content-Length: 5\r\n'],
    ['lose transfer-encoding', 'Transfer-Encoding: gzip\r\n'],
    ['lose content-type', 'Content-Type: text/plain\r\n'],
  ])('H2-08 the trailers of an answer %s', async (_what, line) => {
    await using origin = await startRawOrigin({
      tls: { authority, alpn: ['http/1.1'] },
      onConnection: async (socket, _index, log) => {
        await log.until('\r\n\r\n');
        socket.write(
          'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Safe\r\n\r\n2\r\nok\r\n0\r\n' +
            `X-Safe: kept\r\n${line}\r\n`,
        );
      },
    });
    await using proxy = await startProxy({ trusts: authority, config: bridged });
    await using client = await dialRaw(proxy, origin.authority);
    const seen = await client.over(client.ask(getFields(origin.authority)));
    expect(seen.isEnded).toBe(true);
    expect(seen.body.toString()).toBe('ok');
    expect(seen.heads[0]).not.toContain('transfer-encoding');
    expect(seen.heads.slice(1)).toEqual([['x-safe', 'kept']]);
    await client[Symbol.asyncDispose]();
    await proxy.finish();
  });
});

/** The field blocks that came on a stream. */
function blocksOf(peer: RawPeer | undefined, streamId: number): readonly Buffer[] {
  return (peer?.frames ?? [])
    .filter((one) => one.type === frameTypes.headers && one.streamId === streamId)
    .map(({ payload }) => payload);
}

// RFC 7541 section 6.2.3: a literal whose first octet is 0x10; others of a peer without a table begin with 0.
function literal(first: number, name: string, value: string): Buffer {
  return Buffer.concat([
    Buffer.from([first, name.length]),
    Buffer.from(name),
    Buffer.from([value.length]),
    Buffer.from(value),
  ]);
}

describe('trailers between peers of HTTP/2', () => {
  test('H2-07 pass both ways, in their order', async () => {
    await using origin = await startRawH2Origin({
      authority,
      onPeer: async (peer) => {
        await peer.until(() => peer.stream(1).isEnded, 'the request');
        peer.send(
          headersFrame(1, [':status', '200', 'trailer', 'x-safe']),
          dataFrame(1, 'ok'),
          headersFrame(1, ['x-safe', 'kept', 'x-second', 'too'], endHeaders | endStream),
        );
      },
    });
    await using proxy = await startProxy({ trusts: authority });
    await using client = await dialRaw(proxy, origin.authority);
    const id = client.ask(postFields(origin.authority), endHeaders);
    client.send(dataFrame(id, 'some'), headersFrame(id, ['x-sum', '1'], endHeaders | endStream));
    const seen = await client.over(id);
    expect(seen.heads.at(-1)).toEqual(['x-safe', 'kept', 'x-second', 'too']);
    expect(origin.peers[0]?.stream(1).heads.at(-1)).toEqual(['x-sum', '1']);
    await client[Symbol.asyncDispose]();
    await proxy.finish();
  });

  test('those that no table may hold stay such on both sides, in heads and in trailers', async () => {
    const secret = literal(0x10, 'x-secret', 'hidden');
    const open = literal(0, 'x-open', 'shown');
    const both = Buffer.concat([secret, open]);
    await using origin = await startRawH2Origin({
      authority,
      onPeer: async (peer) => {
        await peer.until(() => peer.stream(1).isEnded, 'the request');
        peer.send(
          frame(frameTypes.headers, endHeaders, 1, Buffer.concat([encodeFields([':status', '200']), both])),
          dataFrame(1, 'ok'),
          frame(frameTypes.headers, endHeaders | endStream, 1, both),
        );
      },
    });
    await using proxy = await startProxy({ trusts: authority });
    await using client = await dialRaw(proxy, origin.authority);
    const id = client.ask(postFields(origin.authority), endHeaders);
    client.send(dataFrame(id, 'some'), frame(frameTypes.headers, endHeaders | endStream, id, both));
    await client.over(id);
    const [, requestTrailers] = blocksOf(origin.peers[0], 1);
    const [head, trailers] = blocksOf(client, id);
    expect(requestTrailers).toEqual(both);
    expect(trailers).toEqual(both);
    expect([head?.includes(secret), head?.includes(open)]).toEqual([true, true]);
    await client[Symbol.asyncDispose]();
    await proxy.finish();
  });

  test.each(['content-length', 'transfer-encoding', 'connection', 'host', ':status'])(
    'H2-07 %s among those of an answer never reaches the client',
    async (name) => {
      await using origin = await startRawH2Origin({
        authority,
        onPeer: async (peer) => {
          await peer.until(() => peer.stream(1).isEnded, 'the request');
          peer.send(
            headersFrame(1, [':status', '200']),
            dataFrame(1, 'ok'),
            headersFrame(1, ['x-safe', 'kept', name, '200'], endHeaders | endStream),
          );
        },
      });
      await using proxy = await startProxy({ trusts: authority });
      await using client = await dialRaw(proxy, origin.authority);
      const seen = await client.over(client.ask(getFields(origin.authority)));
      // Where the field alone was taken out, the rest is there.
      expect(seen.heads.slice(1)).toEqual(seen.isEnded ? [['x-safe', 'kept']] : []);
      await client[Symbol.asyncDispose]();
      await proxy.finish();
    },
  );
});
