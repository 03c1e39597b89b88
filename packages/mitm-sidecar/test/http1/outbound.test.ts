// How an origin's answer is read, however its bytes are cut, and what becomes of its connection.
import { duplexPair } from 'node:stream';

import { parseConfig } from 'mitm-core';
import { parseRequestHead, requestFraming } from 'mitm-http';
import { describe, expect, test } from 'vitest';

import { createLabAuthority } from '../../../../testing/lab/certificates.ts';
import { startHttpsOrigin, startRawOrigin } from '../../../../testing/lab/origins.ts';
import { everySplit } from '../../../../testing/lab/split.ts';
import { Http1Outbound } from '../../src/http1/outbound.ts';
import type { ResponseReceiver } from '../../src/relay/sides.ts';
import { Wire } from '../../src/wire.ts';
import { createExchangeLab, play } from '../exchange-lab.ts';
import { detailsOf, openClient, openTlsClient, reasonsOf, startProxy } from '../proxy-lab.ts';

const config = parseConfig({ interception: { destinations: ['*:*'] }, maxHttpHeadBytes: 1_000 });

/** What a receiver was told, pieces of a body joined, and what became of the connection. */
interface Told {
  readonly told: string[];
  readonly connection: 'idle' | 'gone' | 'upgraded';
  /** What the next owner of an upgraded connection reads. */
  readonly after: string;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Sends one request, lets the origin send these pieces, and tells what was made of them. */
async function answer(
  pieces: readonly Uint8Array[],
  options: { readonly method?: string; readonly ends?: boolean; readonly isVolatile?: boolean } = {},
): Promise<Told> {
  const [near, far] = duplexPair();
  const wire = new Wire(near, { isVolatile: options.isVolatile ?? false });
  const owner: { state: Told['connection'] | 'busy' } = { state: 'busy' };
  const outbound = new Http1Outbound(wire, 'key', config, {
    idle: () => (owner.state = 'idle'),
    gone: () => (owner.state = 'gone'),
    pinned: () => {},
    streams: () => {},
  });
  const told: string[] = [];
  const body: string[] = [];
  const receiver: ResponseReceiver = {
    informational: (head) => told.push(`${head.status}`),
    responseHead: (head, framing) => told.push(`${head.status} ${framing.kind}`),
    responseData: (piece) => {
      body.push(piece.toString('latin1'));
      return true;
    },
    responseEnd: (trailers) => {
      told.push(`end ${body.join('')}${trailers === undefined ? '' : ` ${trailers.join('=')}`}`);
      outbound.release();
    },
    responseFlush: () => {},
    responseFailed: (failure, isUntouched) =>
      told.push(
        `failed ${failure.reply?.status} ${failure.detail?.split(':')[1]?.trim() ?? ''}${isUntouched ? ' untouched' : ''}`,
      ),
    upstreamDrained: () => {},
  };
  const bytes = Buffer.from(
    `${options.method ?? 'GET'} / HTTP/1.1\r\nHost: o\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n`,
  );
  const head = parseRequestHead(bytes, 0, bytes.length);
  outbound.send(
    {
      head,
      framing: requestFraming(head),
      scheme: 'http',
      authority: 'o',
      target: '/',
      keepUpgrade: true,
      dropExpect: false,
    },
    receiver,
  );
  outbound.sendEnd(undefined);
  outbound.flush();
  // A volatile stream hands out one and the same buffer again and again.
  const shared = Buffer.alloc(65_536);
  for (const piece of pieces) {
    if (options.isVolatile === true) {
      shared.set(piece);
      wire.receive(shared.subarray(0, piece.length));
      shared.fill('!');
    } else {
      far.write(piece);
      await turn();
    }
  }
  if (options.ends === true) {
    far.end();
    await turn();
    await turn();
  }
  const after: Buffer[] = [];
  if (told.at(-1)?.startsWith('101') === true) {
    const upgraded = outbound.takeWire();
    owner.state = 'upgraded';
    upgraded.attach({
      onData: (chunk) => after.push(Buffer.from(chunk)),
      onEnd: () => after.push(Buffer.from('<end>')),
      onClose: () => {},
      onDrain: () => {},
      onQuiet: () => {},
    });
    await turn();
  }
  near.destroy();
  far.destroy();
  if (owner.state === 'busy') throw new Error(`the connection has no owner: ${told.join()}`);
  return { told, connection: owner.state, after: Buffer.concat(after).toString('latin1') };
}

interface Row {
  readonly rule: string;
  readonly bytes: string;
  readonly method?: string;
  readonly ends?: boolean;
  readonly told: readonly string[];
  readonly connection: Told['connection'];
  readonly after?: string;
}

const rows: readonly Row[] = [
  {
    rule: 'a length',
    bytes: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello',
    told: ['200 length', 'end hello'],
    connection: 'idle',
  },
  {
    rule: 'interim answers in their order, and then the final one',
    bytes:
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx',
    told: ['100', '103', '200 length', 'end x'],
    connection: 'idle',
  },
  {
    rule: 'H1-05 chunks with a trailer',
    bytes:
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;e=1\r\nabc\r\n2\r\nde\r\n0\r\nDigest: q\r\n\r\n',
    told: ['200 chunked', 'end abcde Digest=q'],
    connection: 'idle',
  },
  {
    rule: 'a body that ends with its connection',
    bytes: 'HTTP/1.1 200 OK\r\n\r\nall of it',
    ends: true,
    told: ['200 until-close', 'end all of it'],
    connection: 'gone',
  },
  {
    rule: 'an HTTP/1.0 answer is not followed by another',
    bytes: 'HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx',
    told: ['200 length', 'end x'],
    connection: 'gone',
  },
  {
    rule: 'Connection: close is believed',
    bytes: 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx',
    told: ['200 length', 'end x'],
    connection: 'gone',
  },
  {
    rule: 'an answer to HEAD has no body',
    bytes: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n',
    method: 'HEAD',
    told: ['200 none', 'end '],
    connection: 'idle',
  },
  {
    rule: 'a length that is cut short',
    bytes: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel',
    ends: true,
    told: ['200 length', 'failed 502 '],
    connection: 'gone',
  },
  {
    rule: 'chunks that are cut short',
    bytes: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n',
    ends: true,
    told: ['200 chunked', 'failed 502 '],
    connection: 'gone',
  },
  {
    rule: 'a chunk that is none',
    bytes: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnone\r\n',
    told: ['200 chunked', 'failed 502 invalid_chunk'],
    connection: 'gone',
  },
  {
    rule: 'the end instead of an answer',
    bytes: '',
    ends: true,
    told: ['failed 502  untouched'],
    connection: 'gone',
  },
  {
    rule: 'the end in a head',
    bytes: 'HTTP/1.1 200 O',
    ends: true,
    told: ['failed 502 '],
    connection: 'gone',
  },
  {
    rule: 'SG-07a a coding and a length',
    bytes: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 10\r\n\r\n',
    told: ['failed 502 conflicting_framing'],
    connection: 'gone',
  },
  {
    rule: 'SG-07b two lengths',
    bytes: 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 8\r\n\r\n',
    told: ['failed 502 conflicting_content_length'],
    connection: 'gone',
  },
  {
    rule: 'SG-07c a space before the colon',
    bytes: 'HTTP/1.1 200 OK\r\nContent-Length : 8\r\n\r\n',
    told: ['failed 502 invalid_header_name'],
    connection: 'gone',
  },
  {
    rule: 'a head above maxHttpHeadBytes',
    bytes: `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(1_000)}\r\n\r\n`,
    told: ['failed 502 head_too_large'],
    connection: 'gone',
  },
  {
    rule: 'a 101 and what follows it, byte for byte',
    bytes: 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nearly\r\n\r\nbytes',
    told: ['101 none'],
    connection: 'upgraded',
    after: 'early\r\n\r\nbytes',
  },
  {
    rule: 'a 101, what follows it, and the end',
    bytes: 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nbye',
    ends: true,
    told: ['101 none'],
    connection: 'upgraded',
    after: 'bye<end>',
  },
];

describe('an answer, at any split of its bytes', () => {
  test.each(rows)('$rule', async ({ bytes, told, connection, after = '', ...options }) => {
    const wire = Buffer.from(bytes, 'latin1');
    expect(await answer([wire], options)).toEqual({ told, connection, after });
    await everySplit(wire, (pieces) => answer(pieces, options), { maxSplits: 60 });
  });

  test.each(rows.filter(({ ends }) => ends !== true))(
    '$rule, through a buffer that is overwritten',
    async (row) => {
      const { bytes, told, connection, after = '', ...options } = row;
      const wire = Buffer.from(bytes, 'latin1');
      const run = (pieces: readonly Uint8Array[]): Promise<Told> =>
        answer(pieces, { ...options, isVolatile: true });
      expect(await run([wire])).toEqual({ told, connection, after });
      await everySplit(wire, run, { maxSplits: 60 });
    },
  );

  test.each([
    ['behind a complete answer', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n\r\n'],
    ['behind an answer without a body', 'HTTP/1.1 204 No Content\r\n\r\nx'],
  ])('bytes %s make the connection unusable', async (_place, bytes) => {
    const whole = await answer([Buffer.from(bytes)]);
    expect(whole.connection).toBe('gone');
    // In a piece of their own they arrive while the connection is idle, which ends it just the same.
    await everySplit(Buffer.from(bytes), async (pieces) => (await answer(pieces)).connection, {
      maxSplits: 60,
    });
  });
});

const request = 'GET http://o/ HTTP/1.1\r\nHost: o\r\n\r\n';
const upstreamRequest = 'GET / HTTP/1.1\r\nHost: o\r\n\r\n';

describe('what the client is told', () => {
  test.each([
    ['a malformed head', 'HTTP/1.1 abc\r\n\r\n', 'the origin sent an answer that is not valid HTTP\n'],
    [
      'an oversized head',
      `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(70_000)}\r\n\r\n`,
      'the origin sent an answer that is not valid HTTP\n',
    ],
  ])('%s is 502, and the connection goes on', async (_what, bytes, text) => {
    const book = await play();
    const events = await book
      .client(request)
      .expectUpstream(upstreamRequest)
      .upstream(bytes)
      .expectClient(
        `HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
      )
      .client(request)
      .expectUpstream(upstreamRequest, 1)
      .upstream('HTTP/1.1 204 No Content\r\n\r\n', 1)
      .expectClient('HTTP/1.1 204 No Content\r\n\r\n')
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(['mitm_http_error', 'mitm_http_completed', 'mitm_http_completed']);
  });

  test('a reset in a head is 502', async () => {
    await using origin = await startRawOrigin({
      onConnection: async (socket, _index, log) => {
        await log.until('\r\n\r\n');
        await new Promise<void>((resolve) => {
          socket.write('HTTP/1.1 200', () => resolve());
        });
        socket.resetAndDestroy();
      },
    });
    await using proxy = await startProxy();
    await using client = await openClient(proxy.port);
    client.send(`GET http://${origin.authority}/ HTTP/1.1\r\nHost: o\r\n\r\n`);
    expect(await client.receive('\n\r\n')).toMatch(/^HTTP\/1\.1 502 /);
  });

  test('H1-16 no answer within upstream.timeoutMs is 504', async () => {
    await using origin = await startRawOrigin();
    await using proxy = await startProxy({ config: { upstream: { timeoutMs: 60 } } });
    await using client = await openClient(proxy.port);
    client.send(`GET http://${origin.authority}/ HTTP/1.1\r\nHost: o\r\n\r\n`);
    expect(await client.receive('in time\n')).toMatch(/^HTTP\/1\.1 504 /);
    client.stream.end();
    const events = await proxy.settled();
    expect(reasonsOf(events)).toEqual(['stream_stage_timeout', 'mitm_http_completed']);
    expect(detailsOf(events)[0]).toBe('stream_stage_timeout:http1_response_head:60ms');
  });

  test('the time for an answer begins when the request has been sent', async () => {
    await using silent = await startRawOrigin();
    await using origin = await startRawOrigin({
      onConnection: async (socket, _index, log) => {
        await log.until('whole body');
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      },
    });
    await using proxy = await startProxy({ config: { upstream: { timeoutMs: 40 } } });
    await using client = await openClient(proxy.port);
    client.send(`POST http://${origin.authority}/ HTTP/1.1\r\nHost: o\r\nContent-Length: 10\r\n\r\n`);
    await proxy.recorder.waitFor('request_headers', 5_000);
    // A request that was sent later runs out of time; this one is still waiting for its client.
    await using other = await openClient(proxy.port);
    other.send(`GET http://${silent.authority}/ HTTP/1.1\r\nHost: o\r\n\r\n`);
    expect(await other.receive('in time\n')).toMatch(/^HTTP\/1\.1 504 /);
    client.send('whole body');
    expect(await client.receive('ok')).toMatch(/^HTTP\/1\.1 200 /);
  });

  const cuts: readonly [string, string][] = [
    ['a length', 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf'],
    ['chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n'],
  ];
  test.each(cuts)('%s that the origin cuts short reaches the client as a reset', async (_framing, bytes) => {
    await using origin = await startRawOrigin({
      onConnection: async (socket, _index, log) => {
        await log.until('\r\n\r\n');
        socket.end(bytes);
      },
    });
    await using proxy = await startProxy();
    await using client = await openClient(proxy.port);
    client.send(`GET http://${origin.authority}/ HTTP/1.1\r\nHost: o\r\n\r\n`);
    await client.log.closed();
    expect(client.log.error).toMatchObject({ code: 'ECONNRESET' });
    expect(client.log.received.toString()).not.toContain('0\r\n\r\n');
    expect(reasonsOf(await proxy.settled())).toEqual(['mitm_http_error', 'mitm_http_completed']);
  });

  test('a body that ends with its connection is cut short by a reset of that', async () => {
    await using origin = await startRawOrigin({
      onConnection: async (socket, _index, log) => {
        await log.until('\r\n\r\n');
        socket.write('HTTP/1.1 200 OK\r\n\r\nhalf');
        await log.until('go on');
        socket.resetAndDestroy();
      },
    });
    await using proxy = await startProxy();
    await using client = await openClient(proxy.port);
    client.send(`POST http://${origin.authority}/ HTTP/1.1\r\nHost: o\r\nContent-Length: 9\r\n\r\n`);
    await client.receive('half');
    client.send('go on');
    await client.log.closed();
    expect(client.log.error).toMatchObject({ code: 'ECONNRESET' });
    expect(reasonsOf(await proxy.settled())).toEqual(['mitm_http_error', 'mitm_http_completed']);
  });

  test('inside TLS a cut answer comes without close_notify', async () => {
    await using lab = await createLabAuthority();
    await using origin = await startHttpsOrigin({
      authority: lab,
      handler: (_seen, response) => {
        response.writeHead(200, { 'Content-Length': 9 });
        response.write('half', () => response.destroy());
      },
    });
    await using proxy = await startProxy({ config: { upstream: { caPaths: [await lab.caFile()] } } });
    await using client = await openTlsClient(proxy, origin.authority);
    client.send('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await client.log.closed();
    expect(client.log.received.toString()).toMatch(/\r\n\r\n(?:half)?$/);
    expect(reasonsOf(await proxy.settled())).toContain('mitm_http_error');
  });
});

describe('a connection between two exchanges', () => {
  test('is used again, in the order of use', async () => {
    const book = await play();
    const events = await book
      .client(request)
      .expectUpstream(upstreamRequest)
      .upstream('HTTP/1.1 204 No Content\r\n\r\n')
      .expectClient('HTTP/1.1 204 No Content\r\n\r\n')
      .client(request)
      .expectUpstream(upstreamRequest)
      .upstream('HTTP/1.1 204 No Content\r\n\r\n')
      .expectClient('HTTP/1.1 204 No Content\r\n\r\n')
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(['mitm_http_completed', 'mitm_http_completed', 'mitm_http_completed']);
  });

  test('ends when a byte arrives that nobody asked for', async () => {
    const lab = await createExchangeLab();
    const events = await lab
      .play()
      .client(request)
      .expectUpstream(upstreamRequest)
      .upstream('HTTP/1.1 204 No Content\r\n\r\n')
      .expectClient('HTTP/1.1 204 No Content\r\n\r\n')
      .upstream('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil')
      .expectUpstreamEnd()
      .client(request)
      .expectUpstream(upstreamRequest, 1)
      .upstream('HTTP/1.1 204 No Content\r\n\r\n', 1)
      .expectClient('HTTP/1.1 204 No Content\r\n\r\n')
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(['mitm_http_completed', 'mitm_http_completed', 'mitm_http_completed']);
  });
});
