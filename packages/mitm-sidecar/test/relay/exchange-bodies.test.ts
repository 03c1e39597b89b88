// Bodies on their way through an exchange: held for a verdict, announced by Expect, and never faster than the other side reads.
import type { Duplex } from 'node:stream';

import { allow, type HandlerDecision } from 'mitm-core';
import { describe, expect, test } from 'vitest';

import { startHttpOrigin } from '../../../../testing/lab/origins.ts';
import { drip, everySplit } from '../../../../testing/lab/split.ts';
import { get, noContent, play, post, upstreamPost } from '../exchange-lab.ts';
import { expectInvariants, makeGate, openClient, reasonsOf, startProxy } from '../proxy-lab.ts';
import { answering, judging, serveOver } from './exchange-fixture.ts';

describe('a request body that the handler is to see', () => {
  test('goes on with its chunks and trailers after the verdict', async () => {
    const handler = judging(() => allow);
    const book = await play({ handler });
    await book
      .client('POST http://o/ HTTP/1.1\r\nHost: o\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n')
      .client('3\r\ncde\r\n0\r\nDigest: q\r\n\r\n')
      .expectUpstream(
        'POST / HTTP/1.1\r\nHost: o\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\nDigest: q\r\n\r\n',
      )
      .upstream(noContent)
      .expectClient(noContent)
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(
      handler.seen.map(({ body, bodyTruncated }) => [Buffer.from(body).toString(), bodyTruncated]),
    ).toEqual([['abcde', false]]);
  });

  test('larger than maxSizeBytes is shown in part, and goes on whole, at any split', async () => {
    const body = '0123456789abcdefghij';
    const length = Buffer.from(post(body));
    const chunks = Buffer.from(
      `POST http://o/ HTTP/1.1\r\nHost: o\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n0123456\r\nd\r\n789abcdefghij\r\n0\r\n\r\n`,
    );
    await using origin = await startHttpOrigin(async (seen, response) => {
      response.end(await seen.finished);
    });
    for (const said of answering) {
      const handler = judging(() => said[1](allow));
      await using proxy = await startProxy({
        handler,
        config: {
          body: { maxSizeBytes: 8 },
          routeMode: 'reverse',
          reverseUpstream: { host: '127.0.0.1', port: origin.port },
        },
      });
      const run = async (pieces: readonly Uint8Array[]): Promise<unknown> => {
        handler.seen.length = 0;
        await using client = await openClient(proxy.port);
        await drip(client.stream, pieces);
        const answer = await client.receive(body);
        return [
          answer.endsWith(body),
          handler.seen.map((request) => [Buffer.from(request.body).toString(), request.bodyTruncated]),
        ];
      };
      for (const bytes of [length, chunks]) {
        // oxlint-disable-next-line no-await-in-loop -- one after the other, so that the handler's notes belong to one run
        expect(await run([bytes])).toEqual([true, [['01234567', true]]]);
        await everySplit(bytes, run, { maxSplits: 25 });
      }
    }
  });

  test('is decided without the rest after bufferIdleMs of silence', async () => {
    const handler = judging(() => allow);
    const book = await play({ handler, config: { body: { bufferIdleMs: 20 } } });
    await book
      .client('POST http://o/ HTTP/1.1\r\nHost: o\r\nContent-Length: 6\r\n\r\nabc')
      .expectUpstream('POST / HTTP/1.1\r\nHost: o\r\nContent-Length: 6\r\n\r\nabc')
      .client('def')
      .expectUpstream('def')
      .upstream(noContent)
      .expectClient(noContent)
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(
      handler.seen.map((request) => [Buffer.from(request.body).toString(), request.bodyTruncated]),
    ).toEqual([['abc', true]]);
  });

  test('is not waited for where requests stream by nature', async () => {
    const handler = judging(() => allow);
    const book = await play({ handler });
    const fields = 'Content-Type: application/grpc+proto\r\nTransfer-Encoding: chunked\r\n\r\n';
    await book
      .client(`POST http://o/ HTTP/1.1\r\nHost: o\r\n${fields}`)
      .expectUpstream(`POST / HTTP/1.1\r\nHost: o\r\n${fields}`)
      .client('1\r\nx\r\n0\r\n\r\n')
      .expectUpstream('1\r\nx\r\n0\r\n\r\n')
      .upstream(noContent)
      .expectClient(noContent)
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(handler.seen).toHaveLength(1);
  });

  test('does not stay in memory', async () => {
    await using origin = await startHttpOrigin();
    await using proxy = await startProxy({ handler: judging(() => allow) });
    await using client = await openClient(proxy.port);
    client.send(
      `POST ${origin.url}/ HTTP/1.1\r\nHost: o\r\nContent-Length: 100000\r\n\r\n${'x'.repeat(100_000)}`,
    );
    await client.receive('ok');
    client.stream.end();
    await proxy.settled();
    expect(proxy.engine.snapshot().inFlightBytesWatermark).toBe(100_000);
  });
});

describe('Expect: 100-continue', () => {
  const head = 'POST http://o/ HTTP/1.1\r\nHost: o\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n';
  const goOn = 'HTTP/1.1 100 Continue\r\n\r\n';

  test('is answered here while the body is read for the handler, and nowhere else', async () => {
    const book = await play({ handler: judging(() => allow) });
    const events = await book
      .client(head)
      .expectClient(goOn)
      .client('abc')
      .expectUpstream(upstreamPost('abc'))
      .upstream(goOn + noContent)
      .expectClient(noContent)
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(['mitm_http_completed', 'mitm_http_completed']);
  });

  test('is passed on otherwise, and so is the answer to it', async () => {
    const book = await play();
    const events = await book
      .client(head)
      .expectUpstream('POST / HTTP/1.1\r\nHost: o\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n')
      .upstream(goOn)
      .expectClient(goOn)
      .client('abc')
      .expectUpstream('abc')
      .upstream(noContent)
      .expectClient(noContent)
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(['mitm_http_completed', 'mitm_http_completed']);
  });

  test('a final answer instead ends the exchange without the body', async () => {
    const book = await play();
    const events = await book
      .client(head)
      .expectUpstream('POST / HTTP/1.1\r\nHost: o\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n')
      .upstream('HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n')
      .expectClient('HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n')
      .expectUpstreamEnd()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(['mitm_http_completed', 'mitm_http_completed']);
  });
});

describe('back-pressure', () => {
  const totalBytes = 20 * 1024 * 1024;
  const pieceBytes = 65_536;
  const boundBytes = 2 * 1024 * 1024;
  const turns = 300;

  /** Offers all bytes as fast as they are taken, and counts those that were. */
  function offer(stream: Duplex, taken: { bytes: number }): Promise<void> {
    const piece = Buffer.alloc(pieceBytes, 'x');
    return new Promise((resolve) => {
      const next = (left: number): void => {
        if (left === 0) {
          resolve();
          return;
        }
        stream.write(piece, () => {
          taken.bytes += piece.length;
          next(left - piece.length);
        });
      };
      next(totalBytes);
    });
  }

  async function manyTurns(): Promise<void> {
    for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  }

  test('a fast origin waits for a slow client, and every byte arrives', async () => {
    const { client, origin, fixture, served, close } = await serveOver();
    client.write(get);
    await new Promise((resolve) => origin.once('data', resolve));
    origin.write(`HTTP/1.1 200 OK\r\nContent-Length: ${totalBytes}\r\n\r\n`);
    const taken = { bytes: 0 };
    const offered = offer(origin, taken);
    await manyTurns();
    expect(taken.bytes).toBeLessThan(boundBytes);
    let received = 0;
    client.on('data', (chunk: Buffer) => {
      received += chunk.length;
    });
    await offered;
    await expect.poll(() => received).toBeGreaterThanOrEqual(totalBytes);
    client.end();
    await served;
    close();
    expectInvariants(fixture.engine, fixture.recorder.events());
  });

  test('a fast client waits for a slow origin, and every byte arrives', async () => {
    const { client, origin, fixture, served, close } = await serveOver();
    client.write(`POST http://o/ HTTP/1.1\r\nHost: o\r\nContent-Length: ${totalBytes}\r\n\r\n`);
    const taken = { bytes: 0 };
    const offered = offer(client, taken);
    await manyTurns();
    expect(taken.bytes).toBeLessThan(boundBytes);
    let received = 0;
    origin.on('data', (chunk: Buffer) => {
      received += chunk.length;
    });
    await offered;
    await expect.poll(() => received).toBeGreaterThanOrEqual(totalBytes);
    origin.write(noContent);
    client.resume();
    client.end();
    await served;
    close();
    expectInvariants(fixture.engine, fixture.recorder.events());
  });

  test('a body that nobody decided about is not read beyond what is held', async () => {
    const gate = makeGate<HandlerDecision>();
    await using origin = await startHttpOrigin();
    await using proxy = await startProxy({
      handler: judging(() => gate.opened),
      config: { body: { maxSizeBytes: 1_000 } },
    });
    await using client = await openClient(proxy.port);
    client.send(`POST ${origin.url}/ HTTP/1.1\r\nHost: o\r\nContent-Length: ${totalBytes}\r\n\r\n`);
    const taken = { bytes: 0 };
    const offered = offer(client.stream, taken);
    await expect.poll(() => client.stream.writableNeedDrain).toBe(true);
    await manyTurns();
    expect(taken.bytes).toBeLessThan(totalBytes);
    gate.open(allow);
    await offered;
    await client.receive('ok');
    expect((await origin.request(0)).body).toHaveLength(totalBytes);
  });
});
