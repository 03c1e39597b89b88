// What the listener for metrics answers, and to whom.
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';

import { afterEach, describe, expect, test } from 'vitest';

import { dialLoopback, rawExchange } from '../../../testing/lab/clients.ts';
import { expectNothingLeft, openHandles } from '../../../testing/lab/resources.ts';
import { AdminListener } from '../src/admin-listener.ts';
import { createRuntime } from './runtime-fixture.ts';

const open: AdminListener[] = [];
afterEach(async () => {
  for (const listener of open.splice(0)) await listener.close();
});

async function start(host = '127.0.0.1') {
  const { engine } = await createRuntime();
  const state = { isServing: true };
  const listener = await AdminListener.open({
    bind: { host, port: 0 },
    engine,
    isServing: () => state.isServing,
  });
  open.push(listener);
  const ask = async (path: string, method = 'GET', headers: Record<string, string> = {}) => {
    const sent = request({
      host: '127.0.0.1',
      port: listener.address.port,
      path,
      method,
      headers,
      agent: false,
    });
    sent.end();
    const [answer]: IncomingMessage[] = await once(sent, 'response');
    if (answer === undefined) throw new Error('no answer');
    return { status: answer.statusCode, headers: answer.headers, body: await text(answer) };
  };
  return { engine, listener, state, ask };
}

test('the metrics of the engine, as they are at the moment', async () => {
  const { engine, ask } = await start();
  engine.metrics.connectionOpened();
  const { status, headers, body } = await ask('/metrics');
  expect([status, headers['content-type'], headers['cache-control']]).toEqual([
    200,
    'text/plain; version=0.0.4; charset=utf-8',
    'no-store',
  ]);
  expect(body).toContain('\nsoth_mitm_connections_total 1\n');
  engine.metrics.connectionOpened();
  expect((await ask('/metrics?x=1')).body).toContain('\nsoth_mitm_connections_total 2\n');
});

test('health, and that it ends', async () => {
  const { state, ask } = await start();
  expect(await ask('/healthz')).toMatchObject({ status: 200, body: 'ok\n' });
  state.isServing = false;
  expect(await ask('/healthz')).toMatchObject({ status: 503, body: 'draining\n' });
});

test('HEAD has a head alone', async () => {
  const { ask } = await start();
  const { status, headers, body } = await ask('/healthz', 'HEAD');
  expect([status, headers['content-length'], body]).toEqual([200, '3', '']);
});

test('other paths and methods are refused', async () => {
  const { ask } = await start();
  expect((await ask('/')).status).toBe(404);
  expect(await ask('/metrics', 'POST')).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } });
});

describe('on loopback, a name that is not ours', () => {
  test.each([
    ['metrics.evil.test', 421],
    ['metrics.evil.test:9464', 421],
    ['localhost:9464', 200],
    ['127.0.0.1', 200],
    ['[::1]:9464', 200],
  ])('%j gets %i', async (host, status) => {
    const { ask } = await start();
    expect((await ask('/healthz', 'GET', { host })).status).toBe(status);
  });

  test('is anybody’s where others may ask', async () => {
    const { ask } = await start('0.0.0.0');
    expect((await ask('/healthz', 'GET', { host: 'proxy.internal.test' })).status).toBe(200);
  });
});

test('no bytes that are no request keep it from answering others', async () => {
  const { listener, ask } = await start();
  const socket = await dialLoopback(listener.address.port);
  const answer = await rawExchange(socket, '\x16\x03\x01\x00\x00nonsense\r\n\r\n');
  socket.destroy();
  expect(answer.toString()).toMatch(/^HTTP\/1\.1 400 /);
  expect((await ask('/healthz')).status).toBe(200);
});

test('closing ends connections that wait for nothing', async () => {
  const before = openHandles();
  const { engine } = await createRuntime();
  const listener = await AdminListener.open({
    bind: { host: '127.0.0.1', port: 0 },
    engine,
    isServing: () => true,
  });
  const socket = connect(listener.address.port, '127.0.0.1');
  socket.on('error', () => {});
  await once(socket, 'connect');
  await Promise.all([once(socket, 'close'), listener.close()]);
  await expectNothingLeft(before);
});

test('a taken port is one clear error', async () => {
  const { engine, listener } = await start();
  const second = AdminListener.open({ bind: listener.address, engine, isServing: () => true });
  await expect(second).rejects.toMatchObject({
    code: 'ERR_MITM_LISTEN_FAILED',
    message: expect.stringContaining('admin.bind'),
  });
});
