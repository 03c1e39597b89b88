// A connection that carries a stream takes no place, and gets one again only where one is free.
import { expect, test } from 'vitest';

import type { Http1Outbound } from '../../src/http1/outbound.ts';
import { PoolHost } from '../../src/upstream/pool-host.ts';

/** All that is looked at here. */
function streamingConnection(): Http1Outbound {
  const connection: Pick<Http1Outbound, 'isStreaming'> = { isStreaming: true };
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a stand-in with the one field that is used
  return connection as Http1Outbound;
}

test('a host is over when neither a connection nor a stream is left', () => {
  const host = new PoolHost('here');
  expect(host.isOver).toBe(true);
  host.streaming = 1;
  expect(host.isOver).toBe(false);
  host.streaming = 0;
  host.open = 1;
  expect(host.isOver).toBe(false);
});

test.each([
  ['below the limit', 1, 2, true],
  ['at the limit', 2, 2, false],
])('a stream that has ended %s', (_rule, open, limit, isTaken) => {
  const host = new PoolHost('here');
  host.open = open;
  host.streaming = 1;
  const connection = streamingConnection();
  expect(host.countAgain(connection, limit)).toBe(isTaken);
  expect([connection.isStreaming, host.open, host.streaming]).toEqual(
    isTaken ? [false, open + 1, 0] : [true, open, 1],
  );
});
