// A client connection while it is served: what a shutdown does to it depends on what it is doing.
import { vi, expect, test } from 'vitest';

import { ByteLog } from '../../../testing/lab/byte-log.ts';
import { Http1Inbound } from '../src/http1/inbound.ts';
import { Session } from '../src/session.ts';
import { Wire } from '../src/wire.ts';
import { createRuntime } from './runtime-fixture.ts';
import { record, tcpPair, tlsPair } from './streams.ts';

test('reads from the accepted stream from the beginning', async () => {
  await using pair = await tcpPair();
  const session = new Session(pair.near);
  expect(session.socket).toBe(pair.near);
  pair.far.write('early');
  await vi.waitFor(() => expect(session.wire.heldBytes).toBe(5));
  expect(session.isKilled).toBe(false);
});

test('kill ends the connection whatever it does, and whoever reads hears of it', async () => {
  await using pair = await tcpPair();
  const session = new Session(pair.near);
  const reader = record(session.wire);
  const log = new ByteLog(pair.far);
  session.kill();
  expect(session.isKilled).toBe(true);
  await reader.called('close');
  await log.ended();
});

test('kill reaches a reader inside TLS', async () => {
  await using pair = await tlsPair();
  const session = new Session(pair.tcp.near);
  session.wire = new Wire(pair.near);
  const reader = record(session.wire);
  session.kill();
  await reader.called('close');
  expect(session.wire.isClosed).toBe(true);
});

test('drain leaves alone what is not HTTP/1', async () => {
  await using pair = await tcpPair();
  const session = new Session(pair.near);
  session.drain();
  expect(session.isKilled).toBe(false);
  expect(pair.near.writable).toBe(true);
});

test('drain ends an HTTP/1 connection between two requests', async () => {
  const { engine } = await createRuntime();
  await using pair = await tcpPair();
  const session = new Session(pair.near);
  const inbound = new Http1Inbound(session.wire, engine.config);
  session.server = inbound;
  const next = inbound.nextRequest();
  const log = new ByteLog(pair.far);
  session.drain();
  expect(session.isKilled).toBe(false);
  await log.ended();
  pair.far.end();
  await expect(next).resolves.toBeUndefined();
});

test('drain lets a request in progress finish, even one of which only a part has come', async () => {
  const { engine } = await createRuntime();
  await using pair = await tcpPair();
  const session = new Session(pair.near);
  const inbound = new Http1Inbound(session.wire, engine.config);
  session.server = inbound;
  const next = inbound.nextRequest();
  pair.far.write('GET / HTTP/1.1\r\n');
  await vi.waitFor(() => expect(inbound.isIdle).toBe(false));
  session.drain();
  expect(session.isKilled).toBe(false);
  pair.far.write('Host: here\r\n\r\n');
  expect((await next)?.method).toBe('GET');
  session.drain();
  expect(session.isKilled).toBe(false);
  inbound.close();
});
