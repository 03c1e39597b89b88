// However streams end, the window of the connection loses not one byte: what was sent and not given back yet is known exactly, and given
// back when half a window is due.
import { expect, test } from 'vitest';

import { type JoinedPair, joinedPair, writeAll } from './joined-pair.ts';
import { settle } from './joined-sessions.ts';
import { post } from './wire-frames.ts';

const windowBytes = 16_777_216;
const streamCount = 10_000;
const cancel = 8;

/** Numbers from 0 to below 1, always the same. */
function numbers(): () => number {
  let state = 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

/** Streams of which one side or the other gives up at least a third, at any moment; ends when all are over. */
function cancelAThird({ client, server, pipes }: JoinedPair): number {
  const random = numbers();
  let cancelledCount = 0;
  for (let index = 0; index < streamCount; index += 1) {
    const body = Buffer.alloc(Math.floor(random() * 6_000), 'x');
    const stream = client.open(post, false);
    writeAll(stream, body, 2_000, client);
    const fate = random();
    for (let step = 0; step < 4; step += 1) {
      const pipe = pipes[Math.floor(random() * 2)];
      pipe?.fill();
      pipe?.deliver(Math.floor(random() * 9_000));
      if (step !== 2 || fate > 0.7) continue;
      const cancelled = fate < 0.35 ? stream : server.streams.findLast(({ isOver }) => !isOver);
      if (cancelled === undefined || cancelled.isOver) continue;
      cancelledCount += 1;
      cancelled.reset(cancel);
    }
    if (client.session.openCount > 50) settle(pipes);
  }
  settle(pipes);
  return cancelledCount;
}

test(
  `${streamCount} streams, a third of them cancelled, take nothing from the windows of their connection`,
  { timeout: 60_000 },
  () => {
    const limits = { maxResets: 1_000_000, maxRefusedStreams: 1_000_000, maxIgnoredFrames: 1_000_000 };
    const pair = joinedPair({ limits });
    const { client, server, pipes, up, down } = pair;
    settle(pipes);
    expect([up.connection, down.connection]).toEqual([windowBytes, windowBytes]);
    expect(cancelAThird(pair)).toBeGreaterThan(streamCount / 3);
    expect(client.failure ?? server.failure).toBeUndefined();
    expect([client.session.openCount, server.session.openCount]).toEqual([0, 0]);
    // As many bytes as lack half a window make the other side give back all that is due: if one were lost, the sum would show it.
    for (const meter of [up, down]) {
      const dueBytes = windowBytes - meter.connection;
      expect(dueBytes).toBeGreaterThanOrEqual(0);
      expect(dueBytes).toBeLessThan(windowBytes / 2);
      writeAll(client.open(post, false), Buffer.alloc(windowBytes / 2 - dueBytes), 60_000, client);
      settle(pipes);
      expect(meter.connection).toBe(windowBytes);
    }
  },
);
