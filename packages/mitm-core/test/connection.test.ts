import { describe, expect, test } from 'vitest';

import { Connection, type SocketFamily } from '../src/connection.ts';
import { deferred, testConnection, turn } from './engine-fixture.ts';

const local = { address: '127.0.0.1', port: 8080 };

describe('the client as events name it', () => {
  test.each<[string, SocketFamily, string]>([
    ['IPv4', { kind: 'tcp_v4', local, remote: { address: '10.0.0.7', port: 50_000 } }, '10.0.0.7:50000'],
    ['IPv6 in brackets', { kind: 'tcp_v6', local, remote: { address: '::1', port: 50_000 } }, '[::1]:50000'],
    ['a Unix socket by its path', { kind: 'unix_domain', path: '/run/proxy.sock' }, 'unix:/run/proxy.sock'],
    ['a Unix socket without one', { kind: 'unix_domain' }, 'unix:'],
  ])('%s', (_rule, family, address) => {
    expect(new Connection(family).clientAddr).toBe(address);
  });
});

describe('ids', () => {
  test('each connection gets a random UUID', () => {
    const ids = [testConnection().id, testConnection().id];
    for (const id of ids)
      expect(id).toMatch(/^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/u);
    expect(ids[0]).not.toBe(ids[1]);
  });

  test('or the one it is given', () => {
    expect(new Connection({ kind: 'unix_domain' }, 'mine').id).toBe('mine');
  });
});

describe('what handlers see', () => {
  test('what is not known is missing, not undefined', () => {
    const { meta, id, socketFamily } = testConnection();
    expect(meta).toStrictEqual({ connectionId: id, socketFamily });
    expect(Object.keys(meta)).toEqual(['connectionId', 'socketFamily']);
  });

  test('is frozen, and the same object until a fact arrives', () => {
    const connection = testConnection();
    const before = connection.meta;
    expect(Object.isFrozen(before)).toBe(true);
    expect(connection.meta).toBe(before);
    connection.processInfo = { pid: 7 };
    expect(connection.meta).not.toBe(before);
    expect(before.processInfo).toBeUndefined();
  });

  test('AP-12 carries the process and the TLS facts as they were recorded', () => {
    const connection = testConnection();
    connection.processInfo = { pid: 7, exeName: 'curl' };
    connection.tlsInfo = { sni: 'api.example.test', negotiatedProto: 'h2', version: 'TLSv1.3' };
    expect(connection.meta.processInfo).toBe(connection.processInfo);
    expect(connection.meta.tlsInfo).toEqual({
      sni: 'api.example.test',
      negotiatedProto: 'h2',
      version: 'TLSv1.3',
    });
  });

  test('a fact that is taken back is missing again', () => {
    const connection = testConnection();
    connection.processInfo = { pid: 7 };
    connection.processInfo = undefined;
    connection.tlsInfo = undefined;
    expect([connection.processInfo, connection.tlsInfo]).toEqual([undefined, undefined]);
    expect('processInfo' in connection.meta).toBe(false);
  });
});

describe('hook calls that outlive their exchange', () => {
  test('settled waits for all that were tracked', async () => {
    const connection = testConnection();
    const [first, second] = [deferred(), deferred()];
    connection.track(first.promise);
    connection.track(second.promise);
    let isSettled = false;
    const settled = connection.settled().then(() => {
      isSettled = true;
    });
    first.resolve();
    await first.promise;
    expect(isSettled).toBe(false);
    second.resolve();
    await settled;
    expect(isSettled).toBe(true);
  });

  test('settled waits for those that others began', async () => {
    const connection = testConnection();
    const [first, second] = [deferred(), deferred()];
    connection.track(first.promise.then(() => connection.track(second.promise)));
    let isSettled = false;
    const settled = connection.settled().then(() => {
      isSettled = true;
    });
    first.resolve();
    await turn();
    expect(isSettled).toBe(false);
    second.resolve();
    await settled;
  });

  test('one that is over is forgotten, and without any nothing is waited for', async () => {
    const connection = testConnection();
    await expect(connection.settled()).resolves.toBeUndefined();
    connection.track(Promise.resolve());
    await connection.settled();
    await expect(connection.settled()).resolves.toBeUndefined();
  });
});
