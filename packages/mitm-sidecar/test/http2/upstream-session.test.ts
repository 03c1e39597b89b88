// A connection to an origin: whose it is, and how many streams it has room for.
import { h2Code } from 'mitm-http';
import { describe, expect, test, vi } from 'vitest';

import { dataFrame, endStream, headersFrame, settingsFrame } from '../../../../testing/lab/h2-frames.ts';
import { alice, ask, ended, ok, type SessionLab, startSession } from './upstream-session-lab.ts';

const bob = { name: 'bob' };

/** Has a whole exchange. */
async function use({ session, origin }: SessionLab, id: number, client: object = alice): Promise<void> {
  const [outbound, receiver] = ask(session, client);
  origin.send(ok(id));
  await vi.waitFor(() => expect(receiver.told).toContain('end'));
  outbound.release();
}

describe('room', () => {
  test('is there before the origin has said how much, and as much as it says then', async () => {
    using lab = await startSession({ isSettled: false, peer: { settings: { maxConcurrentStreams: 1 } } });
    const { session, told } = lab;
    expect([session.hasRoom, session.isUsable, session.isIdle]).toEqual([true, true, true]);
    ask(session);
    expect(session.hasRoom).toBe(true);
    await session.known(1_000);
    expect([session.hasRoom, session.isUsable, session.isIdle, told]).toEqual([false, true, false, ['room']]);
  });

  test('comes with the end of each stream, and the owner hears of it', async () => {
    using lab = await startSession({ peer: { settings: { maxConcurrentStreams: 1 } } });
    const [outbound] = ask(lab.session);
    expect(lab.session.hasRoom).toBe(false);
    outbound.abort();
    expect([lab.session.hasRoom, lab.session.isIdle, lab.told]).toEqual([true, true, ['room']]);
  });

  test('changes when the origin changes its mind', async () => {
    using lab = await startSession({ peer: { settings: { maxConcurrentStreams: 1 } } });
    ask(lab.session);
    lab.origin.send(settingsFrame({ maxConcurrentStreams: 2 }));
    await vi.waitFor(() => expect(lab.told).toEqual(['room']));
    expect(lab.session.hasRoom).toBe(true);
  });
});

test('a connection is new once, and knows when it became idle', async () => {
  using lab = await startSession();
  const { session } = lab;
  const before = session.idleSinceMs;
  const first = session.open(alice);
  expect([first.isReused, first.isBound]).toEqual([false, false]);
  first.release();
  expect(session.idleSinceMs).toBeGreaterThanOrEqual(before);
  expect(session.open(bob).isReused).toBe(true);
  expect([session.key, session.generation]).toEqual(['key', 3]);
});

describe('whose it is', () => {
  test('anybody’s, until somebody claims it; then that client’s alone', async () => {
    using lab = await startSession();
    const { session } = lab;
    expect([session.isFor(alice), session.isFor(bob), session.soleUser]).toEqual([true, true, undefined]);
    expect([session.claim(alice), session.claim(alice), session.claim(bob)]).toEqual([true, true, false]);
    expect([session.isFor(alice), session.isFor(bob), session.soleUser]).toEqual([true, false, alice]);
    expect(session.open(alice).isBound).toBe(true);
  });

  test('its only user may claim it, and nobody else', async () => {
    using lab = await startSession();
    await use(lab, 1, alice);
    expect([lab.session.claim(bob), lab.session.claim(alice)]).toEqual([false, true]);
  });

  test('of two users the one that came first may not claim it', async () => {
    using lab = await startSession();
    await use(lab, 1, alice);
    await use(lab, 3, bob);
    expect(lab.session.claim(alice)).toBe(false);
  });

  test('of two users the one that came last may not either', async () => {
    using lab = await startSession();
    ask(lab.session, alice);
    ask(lab.session, bob);
    expect(lab.session.claim(bob)).toBe(false);
  });

  const challenge = headersFrame(1, [':status', '401', 'www-authenticate', 'Negotiate'], ended);

  test('an origin that asks for NTLM or Negotiate makes it its client’s', async () => {
    using lab = await startSession();
    const [, receiver] = ask(lab.session, alice);
    lab.origin.send(challenge);
    await vi.waitFor(() => expect(receiver.told).toContain('end'));
    expect(lab.session.soleUser).toBe(alice);
  });

  test('such a challenge to one of several clients makes it nobody else’s', async () => {
    using lab = await startSession();
    const [, receiver] = ask(lab.session, alice);
    ask(lab.session, bob);
    lab.origin.send(challenge);
    await vi.waitFor(() => expect(receiver.told).toContain('end'));
    expect(lab.session.soleUser).not.toBe(bob);
  });
});

describe('a client that leaves and says why', () => {
  test('takes the connection with it, where it was its only user', async () => {
    using lab = await startSession();
    await use(lab, 1, alice);
    lab.session.leftBy(alice, h2Code.enhanceYourCalm);
    expect(await lab.origin.goawayCode()).toBe(h2Code.enhanceYourCalm);
    await lab.origin.ended();
    expect(lab.told).toEqual(['room', 'draining', 'gone']);
  });

  const others: readonly [string, (lab: SessionLab) => Promise<unknown>][] = [
    ['not where another one used it', async (lab) => [await use(lab, 1, bob), await use(lab, 3, alice)]],
    ['not where another one used it last', async (lab) => [await use(lab, 1, alice), await use(lab, 3, bob)]],
    ['not where a stream is open', async ({ session }) => ask(session, alice)],
    ['not where it never used it', async (lab) => use(lab, 1, bob)],
  ];
  test.each(others)('%s', async (_rule, prepare) => {
    using lab = await startSession();
    await prepare(lab);
    lab.session.leftBy(alice, h2Code.enhanceYourCalm);
    expect([lab.session.isUsable, lab.told.includes('draining')]).toEqual([true, false]);
  });
});

test('what came together is told before the relay may write: each stream once, in order', async () => {
  using lab = await startSession();
  const [, first] = ask(lab.session);
  const [, second] = ask(lab.session);
  lab.origin.send(
    headersFrame(1, [':status', '200']),
    headersFrame(3, [':status', '200']),
    dataFrame(1, 'abc', endStream),
  );
  await vi.waitFor(() => expect(first.told).toContain('flush'));
  expect(first.told.slice(0, 4)).toEqual(['head 200 chunked', 'data abc', 'end', 'flush']);
  expect(second.told).toEqual(['head 200 chunked', 'flush']);
});
