// A request that met a dead connection: when it is asked again on a new one, and when the client is told.
import { allow } from 'mitm-core';
import { describe, expect, test } from 'vitest';

import { startRawOrigin } from '../../../../testing/lab/origins.ts';
import {
  get,
  noContent,
  ownAnswer,
  play,
  playUsed,
  post,
  upstreamGet,
  upstreamPost,
} from '../exchange-lab.ts';
import { openClient, reasonsOf, startProxy } from '../proxy-lab.ts';
import { judging } from './exchange-fixture.ts';

const put = (text: string): string => text.replaceAll('POST', 'PUT');

describe('a used connection that turns out to be dead', () => {
  test('a GET is repeated once on a new one', async () => {
    const book = await playUsed();
    const events = await book
      .client(get)
      .expectUpstream(upstreamGet)
      .upstreamEnds()
      .expectUpstream(upstreamGet, 1)
      .upstream(noContent, 1)
      .expectClient(noContent)
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(Array.from({ length: 3 }, () => 'mitm_http_completed'));
  });

  test('the second death is told', async () => {
    const book = await playUsed();
    const text = 'the origin closed the connection without an answer\n';
    const events = await book
      .client(get)
      .expectUpstream(upstreamGet)
      .upstreamEnds()
      .expectUpstream(upstreamGet, 1)
      .upstreamEnds(1)
      .expectClient(ownAnswer('502 Bad Gateway', text))
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(['mitm_http_completed', 'mitm_http_error', 'mitm_http_completed']);
  });

  test('a PUT whose body the handler has seen is repeated with it', async () => {
    const book = await play({ handler: judging(() => allow) });
    const events = await book
      .client(get)
      .expectUpstream(upstreamGet)
      .upstream(noContent)
      .expectClient(noContent)
      .client(put(post('abc')))
      .expectUpstream(put(upstreamPost('abc')))
      .upstreamEnds()
      .expectUpstream(put(upstreamPost('abc')), 1)
      .upstream(noContent, 1)
      .expectClient(noContent)
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(['mitm_http_completed', 'mitm_http_completed', 'mitm_http_completed']);
  });

  test('a handler that only watches is shown a repeated request once', async () => {
    const handler = judging(() => allow);
    const book = await playUsed({ handler, config: { interceptMode: 'monitor' } });
    await book
      .client(get)
      .expectUpstream(upstreamGet)
      .upstreamEnds()
      .expectUpstream(upstreamGet, 1)
      .upstream(noContent, 1)
      .expectClient(noContent)
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(handler.seen).toHaveLength(2);
  });

  test('a POST is never repeated: the client sees its connection end without an answer', async () => {
    await using origin = await startRawOrigin({
      onConnection: async (socket, _index, log) => {
        await log.until('\r\n\r\n');
        socket.write(noContent);
        await log.until('abc');
        socket.end();
      },
    });
    await using proxy = await startProxy();
    await using client = await openClient(proxy.port);
    client.send(`GET http://${origin.authority}/ HTTP/1.1\r\nHost: o\r\n\r\n`);
    await client.receive(noContent);
    client.send(`POST http://${origin.authority}/ HTTP/1.1\r\nHost: o\r\nContent-Length: 3\r\n\r\nabc`);
    expect(await client.rest()).toBe('');
    expect(origin.connectionCount).toBe(1);
    expect(reasonsOf(await proxy.settled())).toEqual([
      'mitm_http_completed',
      'mitm_http_error',
      'mitm_http_completed',
    ]);
  });

  test('an answer that has begun is not asked for again', async () => {
    const book = await playUsed();
    const text = 'the origin closed the connection without an answer\n';
    const events = await book
      .client(get)
      .expectUpstream(upstreamGet)
      .upstream('HTTP/1.1 2')
      .upstreamEnds()
      .expectClient(ownAnswer('502 Bad Gateway', text))
      .clientEnds()
      .expectClientEnd()
      .finish();
    expect(reasonsOf(events)).toEqual(['mitm_http_completed', 'mitm_http_error', 'mitm_http_completed']);
  });
});
