// Which connection a client's next stream goes on, and which ones still have to be looked after.
import { describe, expect, test } from 'vitest';

import { linkedPair } from '../../../../testing/lab/linked-pair.ts';
import { Http2UpstreamSession } from '../../src/http2/upstream-session.ts';
import { SharedSessions } from '../../src/upstream/shared-sessions.ts';
import { Wire } from '../../src/wire.ts';
import { createRuntime } from '../runtime-fixture.ts';

const fixture = await createRuntime();
const flow = fixture.openFlow();
const alice = {};
const bob = {};

/** A connection that has begun; its origin has said nothing yet, so that it has room. */
function session(key = 'key'): Http2UpstreamSession {
  const owner = { roomChanged: () => {}, draining: () => {}, sessionGone: () => {} };
  const [near] = linkedPair();
  const made = new Http2UpstreamSession(new Wire(near), flow, owner, { key, generation: 0 });
  made.start();
  return made;
}

/** Takes all the room it has. */
function fill(full: Http2UpstreamSession, client: object): void {
  while (full.hasRoom) full.open(client);
}

function holding(...sessions: readonly Http2UpstreamSession[]): SharedSessions {
  const shared = new SharedSessions();
  for (const one of sessions) shared.add(one);
  return shared;
}

describe('a client finds', () => {
  test('the oldest that has room, under its key', () => {
    const [first, second, other] = [session(), session(), session('other')];
    const shared = holding(first, second, other);
    expect(shared.find('key', alice)).toBe(first);
    fill(first, bob);
    expect(shared.find('key', alice)).toBe(second);
    expect([shared.find('other', alice), shared.find('none', alice)]).toEqual([other, undefined]);
  });

  test('its own before any other, and never somebody else’s', () => {
    const [first, second] = [session(), session()];
    second.claim(alice);
    const shared = holding(first, second);
    expect([shared.find('key', alice), shared.find('key', bob)]).toEqual([second, first]);
    fill(second, alice);
    expect(shared.find('key', alice)).toBe(first);
  });
});

describe('a client claims', () => {
  test('one that it has already, or one that nobody else has used', () => {
    const [used, fresh] = [session(), session()];
    used.open(bob).release();
    const shared = holding(used, fresh);
    expect(shared.claim('key', alice)).toBe(fresh);
    expect(shared.claim('key', alice)).toBe(fresh);
    expect([used.soleUser, fresh.soleUser]).toEqual([undefined, alice]);
    expect(shared.claim('none', alice)).toBeUndefined();
  });

  test('none where all are others’, or full', () => {
    const [theirs, full] = [session(), session()];
    theirs.claim(bob);
    fill(full, alice);
    expect(holding(theirs, full).claim('key', alice)).toBeUndefined();
    expect(full.soleUser).toBeUndefined();
  });
});

describe('an origin is known to speak HTTP/2', () => {
  test('while there is a connection for anybody, be it full', () => {
    const full = session();
    const shared = holding(full);
    fill(full, alice);
    expect([shared.has('key'), shared.has('other')]).toEqual([true, false]);
  });

  test.each([
    ['not by one that is its client’s alone', (one: Http2UpstreamSession) => void one.claim(alice)],
    ['not by one that takes no new streams', (one: Http2UpstreamSession) => one.retire()],
  ])('%s', (_rule, change) => {
    const one = session();
    const shared = holding(one);
    change(one);
    expect(shared.has('key')).toBe(false);
  });
});

test('one that takes no new streams is found no more, and is looked after until it is gone', () => {
  const [first, second] = [session(), session()];
  const shared = holding(first, second);
  shared.retire(first);
  shared.retire(first);
  expect([shared.find('key', alice), shared.all()]).toEqual([second, [first, second]]);
  expect([shared.remove(first), shared.remove(first)]).toEqual([true, false]);
  expect(shared.remove(second)).toBe(true);
  expect([shared.find('key', alice), shared.has('key'), shared.all()]).toEqual([undefined, false, []]);
});
