// How a stream or a connection ends on one side, it ends on the other: every code of RST_STREAM and GOAWAY, both ways, and never a
// cut answer that could be taken for a whole one. Both peers speak frame by frame, since clients of node's own hide such ends.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { ByteLog } from '../lab/byte-log.ts';
import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import { connectTunnel, destroyed, tlsOver } from '../lab/clients.ts';
import {
  dataFrame,
  endHeaders,
  endStream,
  frameTypes,
  goawayFrame,
  headersFrame,
  resetFrame,
} from '../lab/h2-frames.ts';
import {
  dialRawPeer,
  getFields,
  postFields,
  type RawH2Origin,
  type RawPeer,
  startRawH2Origin,
} from '../lab/h2-raw-peers.ts';
import { startRawOrigin } from '../lab/origins.ts';
import { type LabProxy, startProxy } from '../lab/proxy.ts';

/** All that RFC 9113 names, and two that it does not. */
const codes = [...Array.from({ length: 14 }, (_, code) => code), 0x1f, 0xdead_beef];

let authority: LabAuthority;
beforeAll(async () => {
  authority = await createLabAuthority();
});
afterAll(() => authority[Symbol.asyncDispose]());

function dial(proxy: LabProxy, origin: { readonly authority: string }): Promise<RawPeer> {
  return dialRawPeer({ ...proxy.forClients, authority: origin.authority });
}

/** The newest stream that the origin knows, once its request has come. */
async function newestStream(origin: RawH2Origin, connection: number, count: number): Promise<number> {
  const peer = await origin.peer(connection);
  const heads = () => peer.frames.filter(({ type }) => type === frameTypes.headers);
  await peer.until(() => heads().length >= count, `request ${count}`);
  return heads()[count - 1]?.streamId ?? 0;
}

describe('RST_STREAM', () => {
  test('of a client arrives at the origin with its code, whichever it is', async () => {
    await using origin = await startRawH2Origin({ authority });
    await using proxy = await startProxy({ trusts: authority });
    await using client = await dial(proxy, origin);
    const arrived: (number | undefined)[] = [];
    for (const [index, code] of codes.entries()) {
      const id = client.ask(postFields(origin.authority), endHeaders);
      client.send(dataFrame(id, 'some'));
      const upstreamId = await newestStream(origin, 0, index + 1);
      client.send(resetFrame(id, code));
      arrived.push((await (await origin.peer(0)).over(upstreamId)).resetCode);
    }
    expect(arrived).toEqual(codes);
    await client[Symbol.asyncDispose]();
    await proxy.finish();
    expect(proxy.handle.metrics().closedByReason).toMatchObject({ client_aborted: codes.length });
  });

  test.each([
    ['before its answer', false, postFields],
    // REFUSED_STREAM apart: what was not begun and may be sent twice is.
    ['before its answer, to a request that may be repeated,', false, getFields],
    ['within its answer', true, postFields],
  ])('of an origin %s arrives at the client with its code', async (_when, hasAnswered, fieldsOf) => {
    const told = codes.filter((code) => fieldsOf === postFields || code !== 7);
    await using origin = await startRawH2Origin({ authority });
    await using proxy = await startProxy({ trusts: authority });
    await using client = await dial(proxy, origin);
    const upstream = await (async () => {
      const first = client.ask(getFields(origin.authority));
      const peer = await origin.peer(0);
      await newestStream(origin, 0, 1);
      peer.send(headersFrame(1, [':status', '204'], endHeaders | endStream));
      await client.over(first);
      return peer;
    })();
    const arrived: (number | undefined)[] = [];
    let requestCount = 1;
    for (const code of told) {
      const isPost = fieldsOf === postFields;
      const id = client.ask(fieldsOf(origin.authority), isPost ? endHeaders : endHeaders | endStream);
      if (isPost) client.send(dataFrame(id, 'some'));
      requestCount += 1;
      const upstreamId = await newestStream(origin, 0, requestCount);
      if (hasAnswered)
        upstream.send(headersFrame(upstreamId, [':status', '200']), dataFrame(upstreamId, 'begin'));
      upstream.send(resetFrame(upstreamId, code));
      const seen = await client.over(id);
      expect(seen.isEnded).toBe(false);
      expect(seen.heads).toHaveLength(hasAnswered ? 1 : 0);
      arrived.push(seen.resetCode);
    }
    expect(arrived).toEqual(told);
    await client[Symbol.asyncDispose]();
    await proxy.finish();
  });

  test('REFUSED_STREAM of an origin is met by one more attempt, and then told', async () => {
    await using origin = await startRawH2Origin({
      authority,
      onPeer: async (peer) => {
        await peer.until(() => peer.stream(1).isEnded, 'the first request');
        peer.send(resetFrame(1, 7));
        await peer.until(() => peer.stream(3).isEnded, 'its repetition');
        peer.send(headersFrame(3, [':status', '200'], endHeaders | endStream));
        await peer.until(() => peer.stream(5).isEnded, 'the second request');
        peer.send(resetFrame(5, 7));
        await peer.until(() => peer.stream(7).isEnded, 'its repetition');
        peer.send(resetFrame(7, 7));
      },
    });
    await using proxy = await startProxy({ trusts: authority });
    await using client = await dial(proxy, origin);
    const first = await client.over(client.ask(getFields(origin.authority)));
    expect(first.heads[0]?.[1]).toBe('200');
    const second = await client.over(client.ask(getFields(origin.authority)), 3_000);
    expect(second).toMatchObject({ heads: [], resetCode: 7 });
    await client[Symbol.asyncDispose]();
    await proxy.finish();
  });
});

describe('GOAWAY', () => {
  test('of an origin arrives at its client with its code, whichever it is', async () => {
    const arrived: (number | undefined)[] = [];
    await using origin = await startRawH2Origin({ authority });
    await using proxy = await startProxy({ trusts: authority });
    for (const [index, code] of codes.entries()) {
      await using client = await dial(proxy, origin);
      const id = client.ask(getFields(origin.authority));
      const upstreamId = await newestStream(origin, index, 1);
      const upstream = await origin.peer(index);
      upstream.send(goawayFrame(upstreamId, code));
      const last = await client.frameOf(({ type }) => type === frameTypes.goaway);
      arrived.push(last?.payload.readUInt32BE(4));
      // The stream was named as one that is served, so it is.
      upstream.send(headersFrame(upstreamId, [':status', '200']), dataFrame(upstreamId, 'done', endStream));
      expect(await client.over(id)).toMatchObject({ body: Buffer.from('done'), isEnded: true });
      await client.ended();
    }
    expect(arrived).toEqual(codes);
    await proxy.finish();
  });

  test('of a client arrives at its origin with its code, whichever it is', async () => {
    const arrived: (number | undefined)[] = [];
    await using origin = await startRawH2Origin({ authority });
    await using proxy = await startProxy({ trusts: authority });
    const errors = codes.filter((code) => code !== 0);
    for (const [index, code] of errors.entries()) {
      await using client = await dial(proxy, origin);
      client.ask(postFields(origin.authority), endHeaders);
      await newestStream(origin, index, 1);
      client.send(goawayFrame(0, code));
      client.socket.end();
      const upstream = await origin.peer(index);
      arrived.push(await upstream.goawayCode());
      await upstream.ended();
    }
    expect(arrived).toEqual(errors);
    await proxy.finish();
  });

  test('leaves streams that the origin did not begin to another connection', async () => {
    await using origin = await startRawH2Origin({
      authority,
      onPeer: async (peer, index) => {
        if (index === 1) {
          await peer.until(() => peer.stream(1).isEnded, 'the repeated request');
          peer.send(headersFrame(1, [':status', '200']), dataFrame(1, 'second', endStream));
          return;
        }
        await peer.until(() => peer.stream(3).isEnded, 'both requests');
        peer.send(goawayFrame(1, 0));
        peer.send(headersFrame(1, [':status', '200']), dataFrame(1, 'first', endStream));
      },
    });
    await using proxy = await startProxy({ trusts: authority });
    await using client = await dial(proxy, origin);
    const ids = [client.ask(getFields(origin.authority)), client.ask(getFields(origin.authority))];
    const [first, second] = await Promise.all(ids.map((id) => client.over(id)));
    expect([first?.body.toString(), second?.body.toString()]).toEqual(['first', 'second']);
    await client[Symbol.asyncDispose]();
    await proxy.finish();
  });
});

describe('a cut answer is never seen as complete', () => {
  const head = headersFrame(1, [':status', '200']);
  const declared = headersFrame(1, [':status', '200', 'content-length', '10']);
  test.each([
    ['its connection ends', (peer: RawPeer) => (peer.send(head, dataFrame(1, 'begin')), peer.socket.end())],
    [
      'its connection breaks',
      (peer: RawPeer) => {
        peer.socket.write(Buffer.concat([head, dataFrame(1, 'begin')]), () => peer.socket.destroy());
      },
    ],
    [
      'its connection is ended with an error',
      (peer: RawPeer) => (peer.send(head, dataFrame(1, 'begin'), goawayFrame(1, 2)), peer.socket.end()),
    ],
    [
      'it is reset without an error',
      (peer: RawPeer) => peer.send(head, dataFrame(1, 'begin'), resetFrame(1, 0)),
    ],
    [
      'it is shorter than declared',
      (peer: RawPeer) => peer.send(declared, dataFrame(1, 'begin'), dataFrame(1, '', endStream)),
    ],
    [
      'it is longer than declared',
      (peer: RawPeer) => peer.send(declared, dataFrame(1, 'more than ten', endStream)),
    ],
  ])('over HTTP/2, when %s', async (_how, answer) => {
    await using origin = await startRawH2Origin({
      authority,
      onPeer: async (peer) => {
        await peer.until(() => peer.stream(1).isEnded, 'the request');
        answer(peer);
      },
    });
    await using proxy = await startProxy({ trusts: authority });
    await using client = await dial(proxy, origin);
    const id = client.ask(getFields(origin.authority));
    const seen = await client.over(id);
    expect(seen.isEnded).toBe(false);
    expect(seen.resetCode).toBeDefined();
    await client[Symbol.asyncDispose]();
    await proxy.finish();
    expect(proxy.events.ofFlow(2).at(-1)).toMatchObject({ reasonCode: 'mitm_http_error' });
  });

  test.each([
    ['a length that is not reached', 'Content-Length: 10\r\n\r\nbegin'],
    ['chunks without the last', 'Transfer-Encoding: chunked\r\n\r\n5\r\nbegin\r\n'],
    ['chunks that can not be read', 'Transfer-Encoding: chunked\r\n\r\n5\r\nbegin\r\nnonsense\r\n'],
  ])('from HTTP/1 to HTTP/2: %s', async (_how, rest) => {
    await using origin = await startRawOrigin({
      tls: { authority, alpn: ['http/1.1'] },
      onConnection: async (socket, _index, log) => {
        await log.until('\r\n\r\n');
        socket.end(`HTTP/1.1 200 OK\r\n${rest}`);
      },
    });
    await using proxy = await startProxy({ trusts: authority, config: { http2Bridge: true } });
    await using client = await dial(proxy, origin);
    const seen = await client.over(client.ask(getFields(origin.authority)));
    expect(seen.isEnded).toBe(false);
    expect(seen.resetCode).toBeDefined();
    await client[Symbol.asyncDispose]();
    await proxy.finish();
  });

  test.each([
    ['a reset', (peer: RawPeer) => peer.send(resetFrame(1, 0))],
    ['the end of the connection', (peer: RawPeer) => peer.socket.end()],
  ])('from HTTP/2 to HTTP/1: %s', async (_how, finish) => {
    await using origin = await startRawH2Origin({
      authority,
      onPeer: async (peer) => {
        await peer.until(() => peer.stream(1).isEnded, 'the request');
        peer.send(head, dataFrame(1, 'begin'));
        finish(peer);
      },
    });
    await using proxy = await startProxy({ trusts: authority, config: { http2Bridge: true } });
    await using tunnel = await connectTunnel(proxy.port, origin.authority);
    const client = await tlsOver(tunnel.socket, { servername: 'localhost', ca: proxy.ca.certificatePem });
    const log = new ByteLog(client);
    client.write(`GET / HTTP/1.1\r\nHost: ${origin.authority}\r\n\r\n`);
    const received = (await log.ended()).toString();
    expect(received).toContain('5\r\nbegin\r\n');
    expect(received).not.toContain('0\r\n\r\n');
    await destroyed(client);
    await proxy.finish();
  });
});
