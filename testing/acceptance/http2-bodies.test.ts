// Bodies in HTTP/2: whole ones, early answers, capture limits, silence, and slow sides. What the handler's copy has no room for is
// traffic all the same.
import { once } from 'node:events';
import type { ClientHttp2Stream, ServerHttp2Stream } from 'node:http2';

import type { InterceptHandler, RawRequest, RawResponse } from 'soth-mitm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import { within } from '../lab/deadline.ts';
import { dataFrame, endStream, headersFrame, resetFrame } from '../lab/h2-frames.ts';
import { dialRawPeer, getFields, startRawH2Origin } from '../lab/h2-raw-peers.ts';
import {
  answerOf,
  askHttp2,
  type Http2Client,
  http2ThroughProxy,
  startHttp2Origin,
} from '../lab/http2-peers.ts';
import { readSlowly, writeZeros } from '../lab/pacing.ts';
import { hasProcessUsage, peakResidentBytes, residentBytes } from '../lab/process-usage.ts';
import { startProxyProcess } from '../lab/proxy-process.ts';
import { type LabProxy, startProxy } from '../lab/proxy.ts';

const mebibyte = 1024 * 1024;

let authority: LabAuthority;
beforeAll(async () => {
  authority = await createLabAuthority();
});
afterAll(() => authority[Symbol.asyncDispose]());

function dial(proxy: LabProxy, target: string): Promise<Http2Client> {
  return http2ThroughProxy({ ...proxy.forClients, authority: target });
}

async function byteCountOf(stream: ServerHttp2Stream): Promise<number> {
  let count = 0;
  for await (const piece of stream) count += Buffer.byteLength(piece);
  return count;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

const small = { body: { maxSizeBytes: 1024, maxDecoderBytes: 1024 } };
const eightKibibytes = Buffer.alloc(8 * 1024, 'x');

describe('a body larger than the copy that the handler gets', () => {
  test('H2-10 of a request passes whole, and the handler decides by its beginning', async () => {
    const seen: RawRequest[] = [];
    const handler: InterceptHandler = {
      onRequest: (request) => {
        seen.push(request);
        return { action: 'allow' };
      },
    };
    await using origin = await startHttp2Origin({
      authority,
      onStream: async (stream) => {
        const count = await byteCountOf(stream);
        stream.respond({ ':status': 200 });
        stream.end(String(count));
      },
    });
    await using proxy = await startProxy({ trusts: authority, handler, config: small });
    await using client = await dial(proxy, origin.authority);
    const answer = await askHttp2(client, { ':method': 'POST', ':path': '/' }, eightKibibytes);
    expect([answer.headers[':status'], answer.body.toString()]).toEqual([200, '8192']);
    expect(seen[0]).toMatchObject({ bodyTruncated: true });
    expect(seen[0]?.body.length).toBe(1024);
    await client[Symbol.asyncDispose]();
    await proxy.finish();
  });

  test('H2-13 of an answer passes whole, and the handler gets its beginning', async () => {
    const seen: RawResponse[] = [];
    await using origin = await startHttp2Origin({
      authority,
      onStream: (stream) => {
        stream.respond({ ':status': 200 });
        stream.end(eightKibibytes);
      },
    });
    await using proxy = await startProxy({
      trusts: authority,
      handler: { onResponse: (response) => void seen.push(response) },
      config: small,
    });
    await using client = await dial(proxy, origin.authority);
    const answer = await askHttp2(client, { ':path': '/' });
    expect(answer.rstCode).toBe(0);
    expect(answer.body.equals(eightKibibytes)).toBe(true);
    await client[Symbol.asyncDispose]();
    await proxy.finish();
    expect(seen[0]).toMatchObject({ status: 200, bodyTruncated: true });
    expect(seen[0]?.body.length).toBe(1024);
  });

  test('H2-14 of an answer ends its stream where h2ResponseOverflowMode is strict_fail', async () => {
    await using origin = await startHttp2Origin({
      authority,
      onStream: (stream, headers) => {
        stream.respond({ ':status': 200 });
        stream.end(headers[':path'] === '/large' ? eightKibibytes : 'small');
      },
    });
    await using proxy = await startProxy({
      trusts: authority,
      handler: { onResponse: () => {} },
      config: { ...small, upstream: { h2ResponseOverflowMode: 'strict_fail' } },
    });
    await using client = await dial(proxy, origin.authority);
    const [large, other] = await Promise.all(
      ['/large', '/small'].map((path) => askHttp2(client, { ':path': path })),
    );
    expect(large?.body.length).toBeLessThan(8192);
    expect(large?.rstCode).not.toBe(0);
    expect(other).toMatchObject({ rstCode: 0, body: Buffer.from('small') });
    await client[Symbol.asyncDispose]();
    await proxy.finish();
    const closes = proxy.events.events().filter((event) => event.kind === 'stream_closed');
    expect(closes).toContainEqual(
      expect.objectContaining({
        reasonCode: 'mitm_http_error',
        reasonDetail: expect.stringContaining('strict overflow mode'),
      }),
    );
  });
});

describe('an answer that comes before the request is complete', () => {
  test('H2-11 of an origin that never reads reaches the client, head and body', async () => {
    await using origin = await startHttp2Origin({
      authority,
      onStream: (stream) => {
        stream.respond({ ':status': 401 });
        stream.end('not you');
      },
    });
    await using proxy = await startProxy({ trusts: authority });
    await using client = await dial(proxy, origin.authority);
    const stream = client.request({ ':method': 'POST', ':path': '/' });
    const answered = within(answerOf(stream), 20_000, 'the answer');
    await writeZeros(stream, 700 * 1024);
    stream.end();
    const answer = await answered;
    expect([answer.headers[':status'], answer.body.toString(), answer.rstCode]).toEqual([401, 'not you', 0]);
    await client[Symbol.asyncDispose]();
    await proxy.finish();
  });

  test('H2-12 does not stop the upload of an origin that reads on', async () => {
    const byteCount = 700 * 1024;
    let received = 0;
    await using origin = await startHttp2Origin({
      authority,
      onStream: async (stream) => {
        stream.respond({ ':status': 200 });
        stream.write('early ');
        received = await byteCountOf(stream);
        stream.end('late');
      },
    });
    await using proxy = await startProxy({ trusts: authority });
    await using client = await dial(proxy, origin.authority);
    const stream = client.request({ ':method': 'POST', ':path': '/' });
    const answered = answerOf(stream);
    await once(stream, 'response');
    await writeZeros(stream, byteCount);
    stream.end();
    const answer = await answered;
    expect([received, answer.body.toString(), answer.rstCode]).toEqual([byteCount, 'early late', 0]);
    await client[Symbol.asyncDispose]();
    await proxy.finish();
  });
});

describe('silence', () => {
  const idle = { upstream: { h2BodyIdleTimeoutMs: 1_500, h2HeaderStageTimeoutMs: 1_500 } };

  test('H2-15 inside an answer counts from piece to piece, not in all', { timeout: 20_000 }, async () => {
    await using origin = await startHttp2Origin({
      authority,
      onStream: async (stream) => {
        stream.respond({ ':status': 200 });
        for (let index = 0; index < 8; index += 1) {
          stream.write(Buffer.alloc(256));
          await pause(400);
        }
        stream.end();
      },
    });
    await using proxy = await startProxy({ trusts: authority, config: idle });
    await using client = await dial(proxy, origin.authority);
    const answer = await askHttp2(client, { ':path': '/' });
    expect([answer.body.length, answer.rstCode]).toEqual([2048, 0]);
    await client[Symbol.asyncDispose]();
    await proxy.finish();
  });

  test('that lasts ends the stream: before the head with 504, inside the body with a reset', async () => {
    await using origin = await startHttp2Origin({
      authority,
      onStream: (stream, headers) => {
        if (headers[':path'] === '/no-head') return;
        stream.respond({ ':status': 200 });
        stream.write('begin');
      },
    });
    await using proxy = await startProxy({ trusts: authority, config: idle });
    await using client = await dial(proxy, origin.authority);
    const [head, body] = await Promise.all(
      ['/no-head', '/no-end'].map((path) => askHttp2(client, { ':path': path })),
    );
    expect(head?.headers[':status']).toBe(504);
    expect(body?.body.toString()).toBe('begin');
    expect(body?.rstCode).not.toBe(0);
    await client[Symbol.asyncDispose]();
    await proxy.finish();
    expect(proxy.handle.metrics().closedByReason).toMatchObject({
      stream_stage_timeout: 1,
      idle_watchdog_timeout: 1,
    });
  });
});

test('H2-24 a stream that the origin resets is no error of its neighbours or of the connection', async () => {
  await using origin = await startRawH2Origin({ authority });
  const ended: number[] = [];
  await using proxy = await startProxy({
    trusts: authority,
    handler: { onStreamEnd: (_connectionId, flowId) => void ended.push(flowId) },
  });
  await using peer = await dialRawPeer({ ...proxy.forClients, authority: origin.authority });
  const [first, second] = [
    peer.ask(getFields(origin.authority, '/1')),
    peer.ask(getFields(origin.authority, '/2')),
  ];
  const upstream = await origin.peer(0);
  await upstream.until(() => upstream.stream(3).isEnded, 'both requests');
  upstream.send(resetFrame(1, 8), headersFrame(3, [':status', '200']), dataFrame(3, 'well', endStream));
  expect(await peer.over(first)).toMatchObject({ resetCode: 8, isEnded: false });
  expect(await peer.over(second)).toMatchObject({
    body: Buffer.from('well'),
    isEnded: true,
    resetCode: undefined,
  });
  await peer[Symbol.asyncDispose]();
  await proxy.finish();
  expect(ended.length).toBeGreaterThanOrEqual(2);
  expect(proxy.events.ofFlow(1).at(-1)).toMatchObject({ reasonCode: 'mitm_http_completed' });
});

describe('a slow side holds back the other', () => {
  test('but not its neighbours: beside ten streams that nobody reads, one is served', async () => {
    await using origin = await startHttp2Origin({
      authority,
      onStream: async (stream, headers) => {
        stream.respond({ ':status': 200 });
        if (headers[':path'] === '/unread') await writeZeros(stream, 64 * mebibyte);
        else stream.write(Buffer.alloc(mebibyte));
        stream.end();
      },
    });
    await using proxy = await startProxy({ trusts: authority });
    await using client = await dial(proxy, origin.authority);
    for (let index = 0; index < 10; index += 1) {
      const unread = client.request({ ':path': '/unread' });
      unread.on('error', () => {}); // it ends with the connection
      await once(unread, 'response');
    }
    // Node gives no window to what nobody reads, so the answers above fill those of their streams.
    client.setLocalWindowSize(32 * mebibyte);
    const answer = await within(askHttp2(client, { ':path': '/' }), 10_000, 'the answer');
    expect([answer.body.length, answer.rstCode]).toEqual([mebibyte, 0]);
    await client[Symbol.asyncDispose]();
    await proxy.finish();
  });

  test('1 MiB is echoed between two slow readers, in step', async () => {
    await using origin = await startHttp2Origin({
      authority,
      onStream: (stream) => {
        stream.respond({ ':status': 200 });
        stream.pipe(stream);
      },
    });
    await using proxy = await startProxy({ trusts: authority });
    await using client = await dial(proxy, origin.authority);
    const stream: ClientHttp2Stream = client.request({ ':method': 'POST', ':path': '/' });
    const reading = readSlowly(stream, { pauseMs: 100, bytesPerSecond: 2 * mebibyte });
    await writeZeros(stream, mebibyte);
    stream.end();
    expect(await reading).toBe(mebibyte);
    await client[Symbol.asyncDispose]();
    await proxy.finish();
  });

  const byteCount = 96 * mebibyte;
  const underwayBytes = 24 * mebibyte;
  const roomBytes = 48 * mebibyte;

  test.skipIf(!hasProcessUsage)(
    'a download and an upload of 96 MiB leave memory where it was (only Linux tells it)',
    { timeout: 50_000 },
    async ({ annotate }) => {
      let sentBytes = 0;
      let receivedBytes = 0;
      await using origin = await startHttp2Origin({
        authority,
        onStream: async (stream, headers) => {
          stream.respond({ ':status': 200 });
          if (headers[':method'] === 'POST') {
            receivedBytes = await readSlowly(stream, { pauseMs: 800, bytesPerSecond: 64 * mebibyte });
          } else {
            const length = headers[':path'] === '/warm-up' ? 32 * mebibyte : byteCount;
            await writeZeros(stream, length, (written) => {
              sentBytes = written;
            });
          }
          stream.end();
        },
      });
      await using proxy = await startProxyProcess({ trusts: authority });
      const ask = { proxyPort: proxy.port, authority: origin.authority, ca: proxy.ca };
      await using client = await http2ThroughProxy(ask);
      const warmUp = client.request({ ':path': '/warm-up' });
      await readSlowly(warmUp, { pauseMs: 0, bytesPerSecond: Number.POSITIVE_INFINITY });
      const startBytes = await residentBytes(proxy.pid);
      const download = client.request({ ':path': '/' });
      const slow = { pauseMs: 800, bytesPerSecond: 64 * mebibyte };
      let sentInPauseBytes = 0;
      setTimeout(() => {
        sentInPauseBytes = sentBytes;
      }, slow.pauseMs - 100);
      const downloaded = readSlowly(download, slow);
      const peakDown = await peakResidentBytes(proxy.pid, downloaded);
      expect(await downloaded).toBe(byteCount);
      const upload = client.request({ ':method': 'POST', ':path': '/' });
      const answered = answerOf(upload);
      let writtenBytes = 0;
      let writtenInPauseBytes = 0;
      setTimeout(() => {
        writtenInPauseBytes = writtenBytes;
      }, slow.pauseMs - 100);
      const writing = writeZeros(upload, byteCount, (written) => {
        writtenBytes = written;
      }).then(() => upload.end());
      const peakUp = await peakResidentBytes(proxy.pid, Promise.all([writing, answered]));
      expect(receivedBytes).toBe(byteCount);
      const figures = [startBytes, peakDown, peakUp, sentInPauseBytes, writtenInPauseBytes].map((bytes) =>
        (bytes / mebibyte).toFixed(1),
      );
      await annotate(`resident MiB at the start, most down, most up; sent in pauses: ${figures.join(', ')}`);
      expect(sentInPauseBytes).toBeGreaterThan(0);
      expect(sentInPauseBytes).toBeLessThan(underwayBytes);
      expect(writtenInPauseBytes).toBeLessThan(underwayBytes);
      expect(Math.max(peakDown, peakUp) - startBytes).toBeLessThan(roomBytes);
      await client[Symbol.asyncDispose]();
      await proxy.finish();
    },
  );
});
