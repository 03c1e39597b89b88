// What is read from a client's connection, however its bytes are cut, and what is written to it.
import { duplexPair } from 'node:stream';

import { Failure, parseConfig } from 'mitm-core';
import type { HeaderList } from 'mitm-http';
import { describe, expect, test } from 'vitest';

import { startHttpOrigin, startRawOrigin } from '../../../../testing/lab/origins.ts';
import { everySplit } from '../../../../testing/lab/split.ts';
import { Http1Inbound } from '../../src/http1/inbound.ts';
import { Wire } from '../../src/wire.ts';
import { play } from '../exchange-lab.ts';
import { openClient, reasonsOf, reset, startProxy } from '../proxy-lab.ts';

const config = parseConfig({ interception: { destinations: ['*:*'] }, maxHttpHeadBytes: 1_000 });

/** What was read, request by request, and how it ended. */
interface Read {
  readonly requests: { readonly head: string; readonly body: string; readonly trailers: HeaderList }[];
  readonly end: string;
}

/** Reads all requests of a connection that sends these pieces and then ends. */
async function readAll(pieces: readonly Uint8Array[]): Promise<Read> {
  const [near, far] = duplexPair();
  const inbound = new Http1Inbound(new Wire(near), config);
  const requests: Read['requests'] = [];
  const sending = (async () => {
    for (const piece of pieces) {
      far.write(piece);
      await new Promise((resolve) => setImmediate(resolve));
    }
    far.end();
  })();
  let end = 'quiet';
  try {
    for (;;) {
      const head = await inbound.nextRequest();
      if (head === undefined) break;
      requests.push({ head: `${head.method} ${head.target}`, ...(await bodyOf(inbound)) });
    }
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    end = `${error.reason} ${error.reply?.status} ${error.detail?.split(':')[1]?.trim()}`;
  }
  await sending;
  near.destroy();
  far.destroy();
  return { requests, end };
}

function bodyOf(inbound: Http1Inbound): Promise<{ body: string; trailers: HeaderList }> {
  return new Promise((resolve, reject) => {
    if (inbound.isRequestComplete) {
      resolve({ body: '', trailers: [] });
      return;
    }
    let body = '';
    inbound.receive({
      requestData: (piece) => {
        body += piece.toString('latin1');
        return true;
      },
      requestEnd: (trailers) => resolve({ body, trailers: trailers ?? [] }),
      requestFailed: reject,
      clientDrained: () => {},
    });
  });
}

describe('requests, at any split of the bytes', () => {
  const three =
    'POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello' +
    '\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n' +
    'PUT /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nDigest: q\r\n\r\n';
  const rows: readonly [string, string, Read][] = [
    [
      'a length, no body with empty lines before it, and chunks with a trailer',
      three,
      {
        requests: [
          { head: 'POST /a', body: 'hello', trailers: [] },
          { head: 'GET /b', body: '', trailers: [] },
          { head: 'PUT /c', body: 'abcde', trailers: ['Digest', 'q'] },
        ],
        end: 'quiet',
      },
    ],
    [
      'a request and then one that is malformed',
      'GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost : h\r\n\r\n',
      {
        requests: [{ head: 'GET /a', body: '', trailers: [] }],
        end: 'mitm_http_error 400 invalid_header_name',
      },
    ],
    [
      'a connection that ends in a head',
      'GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HT',
      {
        requests: [{ head: 'GET /a', body: '', trailers: [] }],
        end: 'client_aborted undefined undefined',
      },
    ],
    [
      'a chunk that is not one',
      'POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
      { requests: [], end: 'mitm_http_error 400 invalid_chunk' },
    ],
    [
      'a request in lines that end in LF alone, refused before any end of it',
      'GET /a HTTP/1.1\nHost: h\n\n',
      { requests: [], end: 'mitm_http_error 400 bare_line_feed' },
    ],
    ['nothing but empty lines', '\r\n\r\n', { requests: [], end: 'client_aborted undefined undefined' }],
  ];
  test.each(rows)('%s', async (_rule, text, expected) => {
    const bytes = Buffer.from(text, 'latin1');
    expect(await readAll([bytes])).toEqual(expected);
    await everySplit(bytes, readAll, { maxSplits: 60 });
  });

  test('a connection that ends between requests ends quietly', async () => {
    expect(await readAll([])).toEqual({ requests: [], end: 'quiet' });
  });

  test('a head above maxHttpHeadBytes is 431 before it is complete', async () => {
    const read = await readAll([Buffer.from(`GET / HTTP/1.1\r\nHost: h\r\nX: ${'x'.repeat(1_000)}`)]);
    expect(read).toEqual({ requests: [], end: 'mitm_http_error 431 head_too_large' });
  });
});

const get = (version = '1.1', extra = ''): string =>
  `GET http://o/x HTTP/${version}\r\nHost: o\r\n${extra}\r\n`;

describe('answers, as the client gets them', () => {
  const upstreamGet = 'GET /x HTTP/1.1\r\nHost: o\r\n\r\n';

  test('H1-07 an HTTP/1.0 client gets a length and the end of the connection', async () => {
    const book = await play();
    const events = await book
      .client(get('1.0'))
      .expectUpstream('GET /x HTTP/1.1\r\nHost: o\r\n\r\n')
      .upstream('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      .expectClient('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok')
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(['mitm_http_completed', 'mitm_http_completed']);
  });

  test('an HTTP/1.0 client gets a chunked answer without its chunks', async () => {
    const book = await play();
    const events = await book
      .client(get('1.0'))
      .expectUpstream(upstreamGet)
      .upstream('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\nT: x\r\n\r\n')
      .expectClient('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc')
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(['mitm_http_completed', 'mitm_http_completed']);
  });

  test('an HTTP/1.0 client gets no interim answer', async () => {
    const book = await play();
    const events = await book
      .client(get('1.0'))
      .expectUpstream(upstreamGet)
      .upstream('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n')
      .expectClient('HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n')
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(['mitm_http_completed', 'mitm_http_completed']);
  });

  const bodiless: readonly [string, string, string][] = [
    [
      'an answer to HEAD keeps the length of what it leaves out',
      'HEAD',
      'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n',
    ],
    ['204 has no body', 'GET', 'HTTP/1.1 204 No Content\r\n\r\n'],
    [
      '304 has no body, whatever length it names',
      'GET',
      'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n',
    ],
    ['a length of 0 is complete at once', 'GET', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'],
  ];
  test.each(bodiless)('%s, and the connection stays', async (_rule, method, answer) => {
    const book = await play();
    const request = `${method} http://o/x HTTP/1.1\r\nHost: o\r\n\r\n`;
    const upstream = `${method} /x HTTP/1.1\r\nHost: o\r\n\r\n`;
    const events = await book
      .client(request)
      .expectUpstream(upstream)
      .upstream(answer)
      .expectClient(answer)
      .client(request)
      .expectUpstream(upstream)
      .upstream(answer)
      .expectClient(answer)
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(['mitm_http_completed', 'mitm_http_completed', 'mitm_http_completed']);
  });

  test('a client that says close gets its answer and the end', async () => {
    const book = await play();
    const events = await book
      .client(get('1.1', 'Connection: close\r\n'))
      .expectUpstream(upstreamGet)
      .upstream('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      .expectClient('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok')
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(['mitm_http_completed', 'mitm_http_completed']);
  });

  test('pipelined requests are answered in their order, one at a time', async () => {
    const book = await play();
    const events = await book
      .client(['a', 'b', 'c'].map((path) => `GET http://o/${path} HTTP/1.1\r\nHost: o\r\n\r\n`).join(''))
      .expectUpstream('GET /a HTTP/1.1\r\nHost: o\r\n\r\n')
      .upstream('HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nA')
      .expectUpstream('GET /b HTTP/1.1\r\nHost: o\r\n\r\n')
      .upstream('HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nB')
      .expectUpstream('GET /c HTTP/1.1\r\nHost: o\r\n\r\n')
      .upstream('HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nC')
      .expectClient(
        ['A', 'B', 'C'].map((body) => `HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n${body}`).join(''),
      )
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(Array.from({ length: 4 }, () => 'mitm_http_completed'));
  });

  test('more pipelined bytes than may wait are read when their turn comes', async () => {
    await using origin = await startHttpOrigin();
    await using proxy = await startProxy();
    await using client = await openClient(proxy.port);
    const count = 60;
    const request = `GET http://${origin.authority}/ HTTP/1.1\r\nHost: o\r\nX: ${'x'.repeat(3_000)}\r\n\r\n`;
    client.send(request.repeat(count));
    await client.receive((received) => received.toString('latin1').split('\r\n\r\nok').length > count);
    expect(origin.requests).toHaveLength(count);
  });
});

describe('what can not be read', () => {
  const rows: readonly [string, string, number][] = [
    [
      'SG-06a Transfer-Encoding with a length',
      'Host: o\r\nTransfer-Encoding: chunked\r\nContent-Length: 5',
      400,
    ],
    ['SG-06b two lengths', 'Host: o\r\nContent-Length: 4\r\nContent-Length: 7', 400],
    ['SG-06c a list of lengths', 'Host: o\r\nContent-Length: 4, 7', 400],
    ['SG-06d an unknown coding', 'Host: o\r\nTransfer-Encoding: gzip', 501],
    ['SG-06e chunked twice', 'Host: o\r\nTransfer-Encoding: chunked, chunked', 400],
    ['SG-06f a signed length', 'Host: o\r\nContent-Length: +5', 400],
    ['SG-06g a folded line', 'Host: o\r\nX: a\r\n b', 400],
    ['no Host', 'X: y', 400],
    ['two Hosts', 'Host: o\r\nHost: p', 400],
  ];
  test.each(rows)(
    '%s is refused with its reason, and no byte of it goes on',
    async (_rule, fields, status) => {
      await using origin = await startRawOrigin();
      await using proxy = await startProxy();
      for (const isKeptAlive of [false, true]) {
        await using client = await openClient(proxy.port);
        if (isKeptAlive) {
          await using good = await startHttpOrigin();
          client.send(`GET ${good.url}/1 HTTP/1.1\r\nHost: o\r\n\r\n`);
          await client.receive('ok');
        }
        client.send(`POST http://${origin.authority}/2 HTTP/1.1\r\n${fields}\r\n\r\nGET /smuggled`);
        const answer = await client.rest();
        expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
        expect(answer).toContain('Connection: close\r\n');
      }
      expect(origin.connectionCount).toBe(0);
      expect(reasonsOf(await proxy.settled())).toContain('mitm_http_error');
    },
  );

  test('a head that does not arrive in time is 408', async () => {
    await using origin = await startHttpOrigin();
    await using proxy = await startProxy({ config: { timeouts: { headMs: 60 } } });
    await using client = await openClient(proxy.port);
    client.send(`GET ${origin.url}/ HTTP/1.1\r\nHost: o\r\n\r\n`);
    await client.receive('ok');
    client.send('GET http://o/ HTTP/1.1\r\nHo');
    expect(await client.rest()).toMatch(/^HTTP\/1\.1 408 /);
    expect(reasonsOf(await proxy.settled())).toEqual(['mitm_http_completed', 'stream_stage_timeout']);
  });

  test('a body that stops coming is 408', async () => {
    await using origin = await startRawOrigin();
    await using proxy = await startProxy({ config: { timeouts: { bodyIdleMs: 60 } } });
    await using client = await openClient(proxy.port);
    client.send(`POST http://${origin.authority}/ HTTP/1.1\r\nHost: o\r\nContent-Length: 9\r\n\r\nabc`);
    expect(await client.rest()).toMatch(/^HTTP\/1\.1 408 /);
    const [own] = await proxy.settled().then(reasonsOf);
    expect(own).toBe('idle_watchdog_timeout');
  });

  test('an idle connection ends quietly after connectionPool.idleTimeoutMs', async () => {
    await using origin = await startHttpOrigin();
    await using proxy = await startProxy({ config: { connectionPool: { idleTimeoutMs: 60 } } });
    await using client = await openClient(proxy.port);
    client.send(`GET ${origin.url}/ HTTP/1.1\r\nHost: o\r\n\r\n`);
    await client.receive('ok');
    expect(await client.rest()).toBe('');
    expect(reasonsOf(await proxy.settled())).toEqual(['mitm_http_completed', 'mitm_http_completed']);
  });
});

describe('a client that leaves', () => {
  test('between requests it is an ordinary end', async () => {
    await using origin = await startHttpOrigin();
    await using proxy = await startProxy();
    await using client = await openClient(proxy.port);
    client.send(`GET ${origin.url}/ HTTP/1.1\r\nHost: o\r\n\r\n`);
    await client.receive('ok');
    client.stream.end();
    await client.rest();
    expect(reasonsOf(await proxy.settled())).toEqual(['mitm_http_completed', 'mitm_http_completed']);
  });

  test.each(['FIN', 'RST'])(
    'H1-17 in its body by %s is client_aborted, and the origin is let go',
    async (how) => {
      await using origin = await startRawOrigin();
      await using proxy = await startProxy();
      await using client = await openClient(proxy.port);
      client.send(`POST http://${origin.authority}/ HTTP/1.1\r\nHost: o\r\nContent-Length: 9\r\n\r\nabc`);
      await proxy.recorder.waitFor('request_body_chunk', 5_000);
      await expect.poll(() => origin.connections[0]?.received.includes('abc')).toBe(true);
      if (how === 'FIN') client.stream.end();
      else reset(client);
      await origin.connections[0]?.ended();
      expect(reasonsOf(await proxy.settled())).toEqual(['client_aborted', 'client_aborted']);
      expect(proxy.server.upstreamCount).toBe(0);
    },
  );

  test('in the middle of its answer it never sees a complete one', async () => {
    await using origin = await startRawOrigin({
      onConnection: async (socket, _index, log) => {
        await log.until('\r\n\r\n');
        socket.write('HTTP/1.1 200 OK\r\n\r\npart of it');
      },
    });
    await using proxy = await startProxy();
    await using client = await openClient(proxy.port);
    client.send(`GET http://${origin.authority}/ HTTP/1.1\r\nHost: o\r\n\r\n`);
    await client.receive('part of it');
    client.stream.end();
    await client.log.closed();
    // An orderly end would make an answer that ends with its connection look complete.
    expect(client.log.error).toMatchObject({ code: 'ECONNRESET' });
    expect(reasonsOf(await proxy.settled())).toEqual(['client_aborted', 'client_aborted']);
  });
});
