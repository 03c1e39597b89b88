import { expect, test } from 'vitest';

import { standing, StreamTable } from '../../src/h2/stream-table.ts';
import type { H2Stream } from '../../src/h2/stream.ts';
import { client, server } from './session-case.ts';
import { get, headers } from './wire-frames.ts';

// A table looks at nothing but the id of a stream; real ones come from a session.
function streamOf(id: number): H2Stream {
  const made = server().feed(headers(id, get));
  return made.stream();
}

function opened(table: StreamTable, id: number): H2Stream {
  const stream = streamOf(id);
  table.noteOpened(id);
  table.add(stream);
  return stream;
}

test('a server knows what an id stands for', () => {
  const table = new StreamTable(true);
  expect([table.standingOf(1), table.standingOf(2), table.standingOf(0)]).toEqual([
    standing.idle,
    standing.illegal,
    standing.illegal,
  ]);
  table.remove(opened(table, 1), standing.closed);
  table.remove(opened(table, 3), standing.resetByUs);
  table.remove(opened(table, 5), standing.resetByPeer);
  expect([1, 3, 5, 7].map((id) => table.standingOf(id))).toEqual([
    standing.closed,
    standing.resetByUs,
    standing.resetByPeer,
    standing.idle,
  ]);
  expect([table.openCount, table.streams.size, table.hasGaps]).toEqual([0, 0, false]);
  opened(table, 11);
  expect([table.hasGaps, table.openCount, table.lastPeerId]).toEqual([true, 1, 11]);
});

test('a client gives ids in the order of the heads, not of the opening', () => {
  const made = client();
  const first = made.session.openStream(silent);
  const second = made.session.openStream(silent);
  expect([first.id, second.id, made.session.openCount]).toEqual([0, 0, 2]);
  second.sendHead(get, true);
  first.sendHead(get, true);
  expect([first.id, second.id]).toEqual([3, 1]);
});

test('a client that drops a stream before its head has told nobody', () => {
  const made = client();
  made.session.openStream(silent).reset(8);
  expect([made.sent(), made.session.openCount]).toEqual([[], 0]);
});

test('resets are remembered within bounds: a lost one is taken for a late one of ours', () => {
  const table = new StreamTable(true);
  for (let id = 1; id < 2000; id += 2) {
    table.noteOpened(id);
    table.noteReset(id, id === 3 ? standing.resetByPeer : standing.resetByUs);
  }
  expect([table.standingOf(1), table.standingOf(3), table.standingOf(1999)]).toEqual([
    standing.resetByUs,
    standing.resetByUs,
    standing.resetByUs,
  ]);
  table.noteOpened(2001);
  expect(table.standingOf(2001)).toBe(standing.closed);
});

const nothing = (): void => undefined;
const silent = {
  informational: nothing,
  response: nothing,
  responseTooLarge: nothing,
  data: nothing,
  trailers: nothing,
  reset: nothing,
  writable: nothing,
};
