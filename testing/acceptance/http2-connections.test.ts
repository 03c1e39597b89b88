// Connections of HTTP/2 from beginning to end: by prior knowledge, through a graceful end, and when nobody uses them any more.
import { once } from 'node:events';
import { connect } from 'node:http2';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import { connectTunnel, hasCommand } from '../lab/clients.ts';
import { within } from '../lab/deadline.ts';
import { Gate } from '../lab/gate.ts';
import { endHeaders, endStream, frameTypes, headersFrame } from '../lab/h2-frames.ts';
import { dialRawPeer, dialRawPeerPlain, getFields, startRawH2Origin } from '../lab/h2-raw-peers.ts';
import { answerOf, askHttp2, http2Over, http2ThroughProxy, startHttp2Origin } from '../lab/http2-peers.ts';
import { startHttpOrigin } from '../lab/origins.ts';
import { runProgram } from '../lab/programs.ts';
import { startProxy } from '../lab/proxy.ts';

let authority: LabAuthority;
beforeAll(async () => {
  authority = await createLabAuthority();
});
afterAll(() => authority[Symbol.asyncDispose]());

const hasCurl = await hasCommand('curl');
const hasNghttp = await hasCommand('nghttp');

function reverseTo(port: number, more: object = {}) {
  return { routeMode: 'reverse', reverseUpstream: { host: '127.0.0.1', port }, ...more } as const;
}

describe('prior knowledge, without TLS', () => {
  test('inside a CONNECT is spoken on both sides', async () => {
    await using origin = await startHttp2Origin();
    const seen: string[] = [];
    await using proxy = await startProxy({
      handler: {
        onRequest: ({ httpVersion, scheme, path }) => {
          seen.push(`${scheme} ${path} ${httpVersion}`);
          return { action: 'allow' };
        },
      },
    });
    await using tunnel = await connectTunnel(proxy.port, origin.authority);
    tunnel.socket.unshift(tunnel.rest);
    await using client = http2Over(tunnel.socket, `http://${origin.authority}`);
    const answers = await Promise.all(['/1', '/2'].map((path) => askHttp2(client, { ':path': path })));
    expect(answers.map(({ body }) => body.toString())).toEqual(['ok', 'ok']);
    expect(origin.sessions).toHaveLength(1);
    await client[Symbol.asyncDispose]();
    await proxy.finish();
    expect(seen).toEqual(['http /1 HTTP/2', 'http /2 HTTP/2']);
  });

  test('H2-03 on the port of the proxy, each stream is judged and sent where it says', async () => {
    await using first = await startHttp2Origin();
    await using second = await startHttp2Origin();
    await using proxy = await startProxy({
      config: { interception: { destinations: ['*:*'], blockedHosts: ['blocked.test'] } },
    });
    await using peer = await dialRawPeerPlain(proxy.port);
    const ids = [first.authority, second.authority, 'blocked.test'].map((named) =>
      peer.ask(getFields(named).with(3, 'http')),
    );
    const seen = await Promise.all(ids.map((id) => peer.over(id)));
    expect(seen.map(({ heads }) => heads[0]?.[1])).toEqual(['200', '200', '403']);
    const id = peer.ask([':method', 'CONNECT', ':authority', first.authority]);
    expect((await peer.over(id)).heads[0]?.[1]).toBe('501');
    expect([first.heads.length, second.heads.length]).toEqual([1, 1]);
    await peer[Symbol.asyncDispose]();
    await proxy.finish();
    const judged = proxy.events.events().filter(({ kind }) => kind === 'connect_decision');
    expect(judged).toHaveLength(3);
  });

  test('H2-03 on the port of a reverse proxy goes to its origin', async () => {
    await using origin = await startHttp2Origin();
    await using proxy = await startProxy({ config: reverseTo(origin.port) });
    const session = connect(`http://localhost:${proxy.port}`);
    session.on('error', () => {});
    const answer = await askHttp2(session, { ':path': '/' });
    expect([answer.headers[':status'], answer.body.toString()]).toEqual([200, 'ok']);
    session.destroy();
    await proxy.finish();
    const closes = proxy.events.events().filter(({ kind }) => kind === 'stream_closed');
    expect(closes).toMatchObject([
      { reasonCode: 'mitm_http_completed' },
      { reasonCode: 'mitm_http_completed' },
    ]);
  });

  test('with http2Bridge, the origin may know HTTP/1 only', async () => {
    await using origin = await startHttpOrigin();
    await using proxy = await startProxy({ config: reverseTo(origin.port, { http2Bridge: true }) });
    await using peer = await dialRawPeerPlain(proxy.port);
    const seen = await peer.over(peer.ask(getFields(`localhost:${proxy.port}`).with(3, 'http')));
    expect(seen.heads[0]?.[1]).toBe('200');
    expect(seen.body.toString()).toBe('ok');
    expect(origin.requests[0]?.httpVersion).toBe('1.1');
    await peer[Symbol.asyncDispose]();
    await proxy.finish();
  });

  test.skipIf(!hasCurl)('of curl (skipped where it is not installed)', async () => {
    await using origin = await startHttp2Origin();
    await using proxy = await startProxy({ config: reverseTo(origin.port) });
    const url = `http://127.0.0.1:${proxy.port}/`;
    const args = ['-q', '-sS', '--http2-prior-knowledge', '-w', ' %{http_version}', url];
    const { code, stdout } = await runProgram('curl', args);
    expect([code, stdout.toString()]).toEqual([0, 'ok 2']);
    await proxy.finish();
  });

  test.skipIf(!hasNghttp)('of nghttp (skipped where it is not installed)', async () => {
    await using origin = await startHttp2Origin();
    await using proxy = await startProxy({ config: reverseTo(origin.port) });
    const { code, stdout } = await runProgram('nghttp', ['-m', '20', `http://127.0.0.1:${proxy.port}/`]);
    expect([code, stdout.toString()]).toEqual([0, 'ok'.repeat(20)]);
    await proxy.finish();
  });
});

describe('the end of a connection', () => {
  test('a shutdown is announced, and streams that are open come to their end', async () => {
    const released = new Gate();
    await using origin = await startHttp2Origin({
      authority,
      onStream: async (stream) => {
        stream.respond({ ':status': 200 });
        stream.write('begin ');
        await released.opened;
        stream.end('end');
      },
    });
    await using proxy = await startProxy({ trusts: authority });
    await using client = await http2ThroughProxy({ ...proxy.forClients, authority: origin.authority });
    const stream = client.request({ ':path': '/' });
    const answered = answerOf(stream);
    await once(stream, 'data');
    const announced = within(once(client, 'goaway'), 5_000, 'the announcement');
    const finished = proxy.finish();
    expect((await announced)[0]).toBe(0);
    released.open();
    const { body, rstCode } = await answered;
    expect([body.toString(), rstCode]).toEqual(['begin end', 0]);
    await finished;
    expect(proxy.events.ofFlow(2).at(-1)).toMatchObject({ reasonCode: 'mitm_http_completed' });
  });

  test('streams that come after the announcement are refused, so that they may be asked elsewhere', async () => {
    await using origin = await startRawH2Origin({ authority });
    await using proxy = await startProxy({ trusts: authority });
    await using peer = await dialRawPeer({ ...proxy.forClients, authority: origin.authority });
    peer.ask(getFields(origin.authority));
    const upstream = await origin.peer(0);
    await upstream.until(() => upstream.stream(1).isEnded, 'the request');
    const shutdown = proxy.handle.shutdown(2_000);
    const goaways = () => peer.frames.filter(({ type }) => type === frameTypes.goaway);
    await peer.until(() => goaways().length === 2, 'both announcements');
    expect(goaways().map(({ payload }) => payload.readUInt32BE(0))).toEqual([0x7fff_ffff, 1]);
    const late = await peer.over(peer.ask(getFields(origin.authority)));
    expect(late.resetCode).toBe(7);
    upstream.send(headersFrame(1, [':status', '204'], endHeaders | endStream));
    expect((await peer.over(1)).heads[0]?.[1]).toBe('204');
    await shutdown;
    await peer.ended();
  });

  test('one that nobody uses is closed on both sides with GOAWAY', async () => {
    await using origin = await startRawH2Origin({
      authority,
      onPeer: async (peer) => {
        await peer.until(() => peer.stream(1).isEnded, 'the request');
        peer.send(headersFrame(1, [':status', '204'], endHeaders | endStream));
      },
    });
    await using proxy = await startProxy({
      trusts: authority,
      config: { connectionPool: { idleTimeoutMs: 500 } },
    });
    await using peer = await dialRawPeer({ ...proxy.forClients, authority: origin.authority });
    await peer.over(peer.ask(getFields(origin.authority)));
    expect(await peer.goawayCode(10_000)).toBe(0);
    await peer.ended(10_000);
    const upstream = await origin.peer(0);
    expect(await upstream.goawayCode(10_000)).toBe(0);
    await upstream.ended(10_000);
    await peer[Symbol.asyncDispose]();
    await proxy.finish();
    expect(proxy.events.ofFlow(1).at(-1)).toMatchObject({ reasonCode: 'mitm_http_completed' });
  });
});
