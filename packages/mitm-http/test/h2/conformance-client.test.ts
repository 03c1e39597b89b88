// What h2spec asks of a server, asked of a client: frames of the server, and what the client makes of them.
import { expect, test } from 'vitest';

import { client, ok } from './session-case.ts';
import {
  block,
  changed,
  data,
  frame,
  get,
  goawayOf,
  headers,
  reset,
  settings,
  uint32,
} from './wire-frames.ts';

const clientErrorRows = [
  ['PUSH_PROMISE', [frame(5, 4, 1, Buffer.concat([uint32(2), block(get)]))], 'PROTOCOL_ERROR'],
  ['ENABLE_PUSH 1 of a server', [settings([2, 1])], 'PROTOCOL_ERROR'],
  ['HEADERS on an even stream', [headers(2, ok, true)], 'PROTOCOL_ERROR'],
  ['HEADERS on a stream that was not opened', [headers(3, ok, true)], 'PROTOCOL_ERROR'],
  ['DATA on a stream that was not opened', [data(3, 'a')], 'PROTOCOL_ERROR'],
  ['RST_STREAM on a stream that was not opened', [reset(3, 8)], 'PROTOCOL_ERROR'],
  ['DATA behind the end', [headers(1, ok, true), data(1, 'a')], 'STREAM_CLOSED'],
  ['HEADERS behind the end', [headers(1, ok, true), headers(1, ['a', 'b'], true)], 'STREAM_CLOSED'],
  ['ENABLE_CONNECT_PROTOCOL taken back', [settings([8, 1]), settings([8, 0])], 'PROTOCOL_ERROR'],
] as const;

test.each(clientErrorRows)('a client ends the connection: %s', (_rule, frames, code) => {
  const made = client();
  made.open(get);
  made.feed(...frames);
  expect(made.sent().at(-1)).toBe(goawayOf(code));
});

const clientStreamRows = [
  ['DATA before a head', [data(1, 'a')]],
  ['an interim response that ends the stream', [headers(1, [':status', '103'], true)]],
  ['a second final head', [headers(1, ok), headers(1, ok)]],
  ['a second final head that ends the stream', [headers(1, ok), headers(1, ok, true)]],
  ['no :status', [headers(1, ['a', 'b'], true)]],
  ['a request', [headers(1, get, true)]],
  ['content-length and no body', [headers(1, [...ok, 'content-length', '1'], true)]],
  ['content-length below the payload', [headers(1, [...ok, 'content-length', '1']), data(1, 'ab')]],
  ['payload behind 204', [headers(1, [':status', '204']), data(1, 'ab')]],
  ['payload behind 304', [headers(1, [':status', '304', 'content-length', '2']), data(1, 'ab')]],
  ['connection in trailers', [headers(1, ok), headers(1, ['connection', 'close'], true)]],
  ['trailers without END_STREAM', [headers(1, ok), data(1, 'a'), headers(1, ['a', 'b'])]],
] as const;

test.each(clientStreamRows)('a client resets the stream: %s', (_rule, frames) => {
  const made = client();
  made.open(get);
  made.sent();
  expect(made.feed(...frames).sent()).toEqual(['RST_STREAM 1 PROTOCOL_ERROR']);
  expect(made.calls.at(-1)).toBe('1 reset PROTOCOL_ERROR by local');
  expect(made.session.openCount).toBe(0);
});

test.each([
  [
    'interim heads, then the final one',
    [headers(1, [':status', '103']), headers(1, ok, true)],
    ['1 informational 103', '1 response 200 end'],
  ],
  [
    '304 with a length',
    [headers(1, [':status', '304', 'content-length', '5'], true)],
    ['1 response 304 end'],
  ],
  [
    '204 and an empty DATA frame',
    [headers(1, [':status', '204']), data(1, '', true)],
    ['1 response 204', '1 data  end'],
  ],
  [
    'payload as long as it says',
    [headers(1, [...ok, 'content-length', '2']), data(1, 'ab', true)],
    ['1 response 200', '1 data ab end'],
  ],
  [
    'payload and trailers',
    [headers(1, ok), data(1, 'ab'), headers(1, ['a', 'b'], true)],
    ['1 response 200', '1 data ab', '1 trailers a b'],
  ],
])('a client accepts: %s', (_rule, frames, told) => {
  const made = client();
  made.open(get);
  expect(made.feed(...frames).told()).toEqual(told);
  expect(made.session.openCount).toBe(0);
});

test('a client compares no length with the empty answer to HEAD, but takes no payload either', () => {
  const made = client();
  const head = changed(':method', 'HEAD');
  made.open(head);
  made.open(head);
  made.sent();
  made.feed(headers(1, [...ok, 'content-length', '9'], true), headers(3, ok), data(3, 'a'));
  expect(made.sent()).toEqual(['RST_STREAM 3 PROTOCOL_ERROR']);
  expect(made.told()).toEqual(['1 response 200 end', '3 response 200', '3 reset PROTOCOL_ERROR by local']);
});
