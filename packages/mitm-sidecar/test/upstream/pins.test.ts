// What belongs to one client is found for that client alone, and forgotten with it.
import { duplexPair } from 'node:stream';

import { parseConfig } from 'mitm-core';
import { expect, test } from 'vitest';

import { Http1Outbound } from '../../src/http1/outbound.ts';
import { Pins } from '../../src/upstream/pins.ts';
import { Wire } from '../../src/wire.ts';

const config = parseConfig({ interception: { destinations: ['*:*'] } });

function connect(key: string): Http1Outbound {
  const [near] = duplexPair();
  return new Http1Outbound(new Wire(near), key, config, {
    idle: () => {},
    gone: () => {},
    pinned: () => {},
    streams: () => {},
  });
}

test('each client finds its own by key, and nobody else finds it', () => {
  const pins = new Pins();
  const [first, second] = [{}, {}];
  const [a, b, c] = [connect('a'), connect('b'), connect('a')];
  pins.add(first, a);
  pins.add(first, b);
  pins.add(second, c);
  expect(pins.clientCount).toBe(2);
  expect([pins.find(first, 'a'), pins.find(first, 'b'), pins.find(second, 'a')]).toEqual([a, b, c]);
  expect([pins.find(second, 'b'), pins.find({}, 'a')]).toEqual([undefined, undefined]);
  expect([pins.has(first, a), pins.has(second, a), pins.has({}, a)]).toEqual([true, false, false]);
  expect(pins.idle()).toEqual([a, b, c]);
});

test('one that is gone is neither found nor listed', () => {
  const pins = new Pins();
  const client = {};
  const connection = connect('a');
  pins.add(client, connection);
  connection.abort();
  expect([pins.find(client, 'a'), pins.idle()]).toEqual([undefined, []]);
});

test('the last one takes its client along', () => {
  const pins = new Pins();
  const client = {};
  const [a, b] = [connect('a'), connect('b')];
  pins.add(client, a);
  pins.add(client, b);
  pins.remove(client, a);
  expect([pins.clientCount, pins.find(client, 'a')]).toEqual([1, undefined]);
  pins.remove(client, a);
  pins.remove({}, b);
  expect(pins.clientCount).toBe(1);
  pins.remove(client, b);
  expect(pins.clientCount).toBe(0);
});

test('a client that is dropped leaves what it had to the caller', () => {
  const pins = new Pins();
  const client = {};
  const connection = connect('a');
  pins.add(client, connection);
  expect(pins.drop(client)).toEqual([connection]);
  expect([pins.clientCount, pins.drop(client)]).toEqual([0, []]);
});
