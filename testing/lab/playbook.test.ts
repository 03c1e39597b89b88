// Playbooks pass on a true relay and fail readably on each kind of wrong one, a forgotten `finish` included.
import type { Duplex } from 'node:stream';

import { expect, test } from 'vitest';

import { Playbook } from './playbook.ts';
import { expectNothingLeft, openHandles } from './resources.ts';

async function relay(client: Duplex, dial: () => Duplex): Promise<string> {
  const upstream = dial();
  client.pipe(upstream).pipe(client);
  await new Promise((resolve) => upstream.once('end', resolve));
  return 'relay_eof';
}

async function chatty(client: Duplex): Promise<void> {
  await new Promise((resolve) => client.write('surprise', resolve));
}

async function broken(): Promise<never> {
  throw new RangeError('planted');
}

async function blocking(client: Duplex): Promise<void> {
  client.end('403');
}

async function fanOut(_client: Duplex, dial: () => Duplex): Promise<void> {
  const [first, second] = [dial(), dial()];
  second.end('to the second');
  first.end('to the first');
}

const quick = { deadlineMs: 100 };

test('a relay is played in order, half-closes included, and its result comes back', async () => {
  const before = openHandles();
  const result = await new Playbook(relay)
    .client('ping')
    .expectUpstream('ping')
    .upstream('po')
    .upstream('ng')
    .expectClient('pong')
    .clientEnds()
    .expectUpstreamEnd()
    .upstream('last')
    .expectClient('last')
    .upstreamEnds()
    .expectClientEnd()
    .finish();
  expect(result).toBe('relay_eof');
  await expectNothingLeft(before);
});

test('a difference is shown from its first byte', async () => {
  const playbook = new Playbook(relay, quick)
    .client('GET / HTTP/1.1\r\n')
    .expectUpstream('GET / HTTP/1.0\r\n');
  await expect(playbook.finish()).rejects.toThrow(
    /^step 2 \(upstream 0 receives\): the bytes differ at offset 13\n {2}expected: "GET \/ HTTP\/1.0\\r\\n"\n/,
  );
});

test('bytes that never come are a difference, too', async () => {
  const playbook = new Playbook(relay, quick).client('ab').expectUpstream('abc');
  await expect(playbook.finish()).rejects.toThrow('the bytes differ at offset 2');
});

test('bytes that nobody expected fail the end', async () => {
  await expect(new Playbook(chatty, quick).finish()).rejects.toThrow(
    'the client received more than was expected: "surprise"',
  );
});

test("the run's error rejects the playbook, and is the cause of a step that it broke", async () => {
  await expect(new Playbook(broken, quick).finish()).rejects.toThrow(RangeError);
  const waiting = new Playbook(broken, quick).expectClient('hello').finish();
  await expect(waiting).rejects.toMatchObject({ cause: new RangeError('planted') });
});

test('a run that does not end fails after the last step', async () => {
  const playbook = new Playbook(relay, quick).client('x').expectUpstream('x');
  await expect(playbook.finish()).rejects.toThrow('the end of the run after the last step');
});

test('an upstream that is never dialled fails its step', async () => {
  const idle = new Playbook(async () => {}, quick).expectUpstream('x');
  await expect(idle.finish()).rejects.toThrow('the dial of upstream 0');
});

test('noUpstream refuses a dial', async () => {
  await new Playbook(blocking, quick).noUpstream().expectClient('403').expectClientEnd().finish();
  await expect(new Playbook(relay, quick).noUpstream().finish()).rejects.toThrow(
    'which this playbook forbids',
  );
});

test('several upstreams are told apart by the order of dialling', async () => {
  const playbook = new Playbook(fanOut, quick)
    .expectUpstream('to the first')
    .expectUpstream('to the second', 1);
  await expect(playbook.finish()).resolves.toBeUndefined();
});

test('a playbook that nobody finishes is reported', async () => {
  const reported = new Promise<Error>((onForgotten) => {
    void new Playbook(relay, { onForgotten }).client('x');
  });
  expect((await reported).message).toContain('not finished');
});

test('a playbook is played once, and not changed while it is', async () => {
  const playbook = new Playbook(async () => 'done', quick);
  const playing = playbook.finish();
  expect(() => playbook.client('late')).toThrow('already being played');
  await expect(playbook.finish()).rejects.toThrow('only once');
  await expect(playing).resolves.toBe('done');
});
