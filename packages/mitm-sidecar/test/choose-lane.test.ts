// The first head of a connection: which lane it leads to, and what is answered where it leads to none.
import { ConnectParseError } from 'mitm-http';
import { describe, expect, test } from 'vitest';

import { kindsOf } from '../../../testing/lab/events.ts';
import { frameTypes, preface, settingsFrame } from '../../../testing/lab/h2-frames.ts';
import { dialRawPeerPlain } from '../../../testing/lab/h2-raw-peers.ts';
import { startHttpOrigin, startTcpEcho } from '../../../testing/lab/origins.ts';
import { drip, everySplit } from '../../../testing/lab/split.ts';
import { recogniseHead } from '../src/choose-lane.ts';
import { detailsOf, openClient, reasonsOf, startProxy } from './proxy-lab.ts';

/** What is recognised in bytes that arrive in pieces: asked after each, as the reader does. */
function recognise(pieces: readonly Uint8Array[], mode: 'strict' | 'lenient' = 'strict'): string {
  let bytes = Buffer.alloc(0);
  for (const piece of pieces) {
    bytes = Buffer.concat([bytes, piece]);
    try {
      const head = recogniseHead(bytes, 200, mode);
      if (head?.kind === 'connect')
        return `connect ${head.request.host}:${head.request.port} ${head.headLength}`;
      if (head !== undefined) return head.kind;
    } catch (error) {
      if (!(error instanceof ConnectParseError)) throw error;
      return error.code;
    }
  }
  return 'more';
}

describe('recogniseHead', () => {
  const rows: readonly [string, string, string][] = [
    [
      'CP-19 a CONNECT, and how long its head is',
      'CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\nmore',
      'connect h:443 35',
    ],
    ['a CONNECT behind empty lines', '\r\n\r\nCONNECT h:443 HTTP/1.1\r\n\r\n', 'connect h:443 30'],
    ['a plain request', 'GET http://o/ HTTP/1.1\r\n\r\n', 'plain'],
    ['an extension method', 'PURGE /x HTTP/1.0\r\n\r\n', 'plain'],
    ['CP-20 a head without its end', 'GET / HTTP/1.1\r\nHost: h\r\n', 'more'],
    ['CP-02 another version', 'GET / HTTP/1.2\r\n\r\n', 'method_not_connect'],
    ['CP-03 a lower-case connect in strict mode', 'connect h:443 HTTP/1.1\r\n\r\n', 'method_not_connect'],
    ['a CONNECT without a port', 'CONNECT h HTTP/1.1\r\n\r\n', 'missing_port'],
    ['CP-18 an IPv6 address without brackets', 'CONNECT ::1:443 HTTP/1.1\r\n\r\n', 'invalid_authority'],
  ];
  test.each(rows)('%s, at any split', (_rule, text, expected) => {
    const bytes = Buffer.from(text, 'latin1');
    expect(recognise([bytes])).toBe(expected);
    everySplit(bytes, (pieces) => recognise(pieces), { maxSplits: 100 });
  });

  test('CP-04 a lower-case connect in lenient mode', () => {
    expect(recognise([Buffer.from('connect https://h:8443/p HTTP/1.1\r\n\r\n')], 'lenient')).toBe(
      'connect h:8443 37',
    );
  });

  test.each([
    ['a head above the limit', `GET / HTTP/1.1\r\nX: ${'x'.repeat(200)}`],
    ['a complete head above the limit', `GET / HTTP/1.1\r\nX: ${'x'.repeat(200)}\r\n\r\n`],
  ])('%s is header_too_large', (_what, text) => {
    expect(recognise([Buffer.from(text)])).toBe('header_too_large');
  });

  test.each([
    ['a TLS hello', '\x16\x03\x01\x02\0'],
    ['a SOCKS greeting', '\x05\x01\0'],
    ['binary', '\0\0\0'],
    ['a word that never ends', 'x'.repeat(64)],
  ])('%s is refused without waiting for the end of a head', (_what, text) => {
    expect(recognise([Buffer.from(text, 'latin1')])).toBe('invalid_request_line');
  });
});

describe('what the client is answered', () => {
  const rows: readonly [string, string, string, number][] = [
    ['CP-02 another version', 'GET / HTTP/1.2\r\nHost: h\r\n\r\n', 'method_not_connect', 400],
    ['CP-03 lower-case connect', 'connect h:443 HTTP/1.1\r\n\r\n', 'method_not_connect', 400],
    ['a CONNECT target that is none', 'CONNECT h:0 HTTP/1.1\r\n\r\n', 'invalid_port', 400],
    ['bytes that are no request', '\x16\x03\x01', 'invalid_request_line', 400],
    [
      'a head above maxConnectHeadBytes',
      `CONNECT h:443 HTTP/1.1\r\nX: ${'x'.repeat(500)}`,
      'header_too_large',
      431,
    ],
  ];
  test.each(rows)('%s', async (_rule, sent, code, status) => {
    await using proxy = await startProxy({ config: { maxConnectHeadBytes: 400 } });
    await using client = await openClient(proxy.port);
    client.send(sent);
    expect(await client.rest()).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    const events = await proxy.settled();
    expect(kindsOf(events)).toEqual(['connect_parse_failed', 'stream_closed']);
    expect(events[0]).toMatchObject({
      parseErrorCode: code,
      context: { serverHost: '<unknown>', serverPort: 0 },
    });
    expect(reasonsOf(events)).toEqual(['connect_parse_failed']);
    expect(detailsOf(events)).toEqual([code]);
    expect(proxy.engine.snapshot().decoderFailureCount).toBe(1);
  });

  test('a head that does not arrive in time is 408', async () => {
    await using proxy = await startProxy({ config: { timeouts: { headMs: 60 } } });
    await using client = await openClient(proxy.port);
    client.send('CONNECT h:443 HT');
    expect(await client.rest()).toMatch(/^HTTP\/1\.1 408 /);
    const events = await proxy.settled();
    expect(events[0]).toMatchObject({
      parseErrorCode: 'read_error',
      parseErrorDetail: 'stream_stage_timeout:connect_head_total:60ms',
    });
  });

  test('a connection that ends within its first head is not answered', async () => {
    await using proxy = await startProxy();
    await using client = await openClient(proxy.port);
    client.stream.end('CONNECT h:443 HT');
    expect(await client.rest()).toBe('');
    expect(detailsOf(await proxy.settled())).toEqual(['incomplete_headers']);
  });

  test.each(['FIN', 'silence'])(
    'a connection that sends nothing is client_aborted, and no failure: %s',
    async (how) => {
      await using proxy = await startProxy({ config: { connectionPool: { idleTimeoutMs: 60 } } });
      await using client = await openClient(proxy.port);
      if (how === 'FIN') client.stream.end();
      expect(await client.rest()).toBe('');
      const events = await proxy.settled();
      expect(kindsOf(events)).toEqual(['stream_closed']);
      expect(reasonsOf(events)).toEqual(['client_aborted']);
      expect(proxy.engine.snapshot().decoderFailureCount).toBe(0);
    },
  );

  test('a plain request in pieces is served from its first byte', async () => {
    await using origin = await startHttpOrigin();
    await using proxy = await startProxy();
    await using client = await openClient(proxy.port);
    const text = `POST ${origin.url}/ HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc`;
    await drip(client.stream, text);
    await client.receive('ok');
    expect(origin.requests[0]?.body.toString()).toBe('abc');
  });

  test('CP-04 lenient mode tunnels a lower-case connect with an absolute target', async () => {
    await using origin = await startTcpEcho();
    await using proxy = await startProxy({
      config: {
        connectParseMode: 'lenient',
        interception: { destinations: ['*:*'], ignoreHosts: ['localhost'] },
      },
    });
    await using client = await openClient(proxy.port);
    client.send(`connect https://${origin.authority}/path HTTP/1.1\r\n\r\nping`);
    expect(await client.receive('ping')).toMatch(/^HTTP\/1\.1 200 /);
    client.stream.end();
    await client.rest();
    expect(reasonsOf(await proxy.settled())).toEqual(['relay_eof']);
  });
});

describe('the preface of HTTP/2', () => {
  test('opens the lane of streams', async () => {
    await using proxy = await startProxy();
    await using client = await dialRawPeerPlain(proxy.port);
    // A request for the proxy itself is answered without an origin.
    const authority = `127.0.0.1:${proxy.port}`;
    const id = client.ask([':method', 'GET', ':scheme', 'http', ':authority', authority, ':path', '/']);
    expect((await client.over(id)).heads[0]?.[0]).toBe(':status');
  });

  test('opens it byte by byte as well', async () => {
    await using proxy = await startProxy();
    await using client = await openClient(proxy.port);
    await drip(client.stream, Buffer.concat([preface, settingsFrame()]).toString('latin1'));
    await client.log.until((received) => received.length >= 9);
    expect(client.log.received[3]).toBe(frameTypes.settings);
    client.stream.end();
    await client.log.ended();
  });

  test('that is broken off is not answered', async () => {
    await using proxy = await startProxy();
    await using client = await openClient(proxy.port);
    client.stream.end(preface.subarray(0, 20));
    expect(await client.rest()).toBe('');
    expect(reasonsOf(await proxy.settled())).toEqual(['connect_parse_failed']);
  });

  test('is refused where HTTP/2 is switched off', async () => {
    await using proxy = await startProxy({ config: { http2Enabled: false } });
    await using client = await openClient(proxy.port);
    client.send(preface);
    expect(await client.rest()).toMatch(/^HTTP\/1\.1 400 /);
    expect(detailsOf(await proxy.settled())).toEqual(['method_not_connect']);
  });

  test.each([
    ['another version', 'PRI * HTTP/2.1\r\n\r\nSM\r\n\r\n'],
    ['another ending', 'PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n'],
  ])('with %s is none', async (_what, bytes) => {
    await using proxy = await startProxy();
    await using client = await openClient(proxy.port);
    client.send(bytes);
    expect(await client.rest()).toMatch(/^HTTP\/1\.1 400 /);
    expect(reasonsOf(await proxy.settled())).toEqual(['connect_parse_failed']);
  });
});

const beginning = (bytes: number): string => `GET http://o/ HTTP/1.1\r\nX: ${'x'.repeat(bytes - 27)}`;

describe('heads that are not complete', () => {
  const limits = { maxConnectHeadBytes: 2_000, maxHttpHeadBytes: 2_000, maxInFlightBytes: 3_000 };
  test('are counted as bytes in flight until they are', async () => {
    await using origin = await startHttpOrigin();
    await using proxy = await startProxy({ config: limits });
    const held = (): number => proxy.engine.budget.held;
    await using client = await openClient(proxy.port);
    client.send(`GET ${origin.url}/ HTTP/1.1\r\n`);
    await expect.poll(held).toBe(1_024);
    client.send('Host: o\r\n\r\n');
    expect(await client.receive('ok')).toMatch(/^HTTP\/1\.1 200 /);
    await expect.poll(held).toBe(0);
    // The same for a later one on the connection, and for what comes before its turn.
    client.send(`GET ${origin.url}/ HTTP/1.1\r\nHost: o\r\n\r\nGET ${origin.url}/`);
    await client.receive('ok');
    await expect.poll(held).toBe(1_024);
  });

  test('are refused where there is no room for more; others go on', async () => {
    await using origin = await startHttpOrigin();
    await using proxy = await startProxy({ config: limits });
    await using slow = await openClient(proxy.port);
    slow.send(`GET ${origin.url}/ HTTP/1.1\r\nHost: o\r\nX: ${'x'.repeat(1_800)}`);
    await expect.poll(() => proxy.engine.budget.held).toBeGreaterThan(1_800);
    await using late = await openClient(proxy.port);
    late.send(beginning(1_300));
    expect(await late.rest()).toMatch(/^HTTP\/1\.1 503 Service Unavailable\r\n/);
    await using whole = await openClient(proxy.port);
    whole.send(`GET ${origin.url}/ HTTP/1.1\r\nHost: o\r\n\r\n`);
    expect(await whole.receive('ok')).toMatch(/^HTTP\/1\.1 200 /);
    // A later head on a connection that has been served.
    whole.send(beginning(1_300));
    expect(await whole.rest()).toMatch(/^HTTP\/1\.1 503 /);
    slow.send('\r\n\r\n');
    expect(await slow.receive('ok')).toMatch(/^HTTP\/1\.1 200 /);
    slow.stream.destroy();
    const events = await proxy.settled();
    expect(reasonsOf(events).filter((reason) => reason === 'capacity_denied')).toHaveLength(2);
    expect(detailsOf(events)).toContain('no room in flight for a request head');
    const { inFlightBudgetDenialCount, flowPermitDenialCount } = proxy.engine.snapshot();
    expect(inFlightBudgetDenialCount).toBeGreaterThanOrEqual(2);
    expect(flowPermitDenialCount).toBe(0);
  });
});
