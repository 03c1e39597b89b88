// What h2spec asks of a server, as tables: frames of the peer, and the frames that answer them.
import { expect, test } from 'vitest';

import { ok, optionsOf, server, SessionCase } from './session-case.ts';
import {
  block,
  changed,
  data,
  flags,
  frame,
  get,
  goaway,
  goawayOf,
  headers,
  paddedData,
  ping,
  post,
  preface,
  priority,
  reset,
  settings,
  settingsAck,
  uint32,
  windowUpdate,
} from './wire-frames.ts';

type Row = readonly [rule: string, frames: readonly Buffer[], answer: readonly string[]];

const openPost = headers(1, post);
const doneGet = headers(1, get, true);
const fieldsOf = (...more: string[]): readonly string[] => [...get, ...more];
const without = (name: string): readonly string[] =>
  get.filter((_, index) => get[index - (index % 2)] !== name);

test.each([
  ['§3.4 another protocol', [Buffer.from('GET / HTTP/1.1\r\n\r\n')], [goawayOf('PROTOCOL_ERROR')]],
  [
    '§3.4 a preface that ends otherwise',
    [preface.subarray(0, 23), Buffer.from('x')],
    [goawayOf('PROTOCOL_ERROR')],
  ],
  ['§3.4 half a preface waits', [preface.subarray(0, 12)], []],
  ['§3.4 the first frame is not SETTINGS', [preface, ping()], [goawayOf('PROTOCOL_ERROR')]],
  ['§3.4 the first frame is an ACK', [preface, settingsAck], [goawayOf('PROTOCOL_ERROR')]],
  ['§3.4 SETTINGS are acknowledged', [preface, settings()], ['SETTINGS ack']],
] satisfies readonly Row[])('the beginning: %s', (_rule, frames, answer) => {
  const made = new SessionCase(optionsOf('server'));
  expect(made.sent()).toEqual(['SETTINGS 3=128 4=262144 6=65536', 'WINDOW_UPDATE 0 16711681']);
  expect(made.feed(...frames).sent()).toEqual(answer);
});

const acceptedRows = [
  [
    '§4.1 unknown types are ignored',
    [frame(0x16, 0xff, 0, 'abc'), frame(0xfe, 0, 7), ping()],
    ['PING ack 12345678'],
  ],
  ['§4.1 undefined flags are ignored', [frame(6, 0x16, 0, '12345678')], ['PING ack 12345678']],
  ['§4.1 the reserved bit is ignored', [frame(6, 0, 0x8000_0000, '12345678')], ['PING ack 12345678']],
  ['§4.2 a frame of 16384 bytes', [openPost, data(1, Buffer.alloc(16_384))], []],
  ['§5.1 idle: PRIORITY', [priority(1, 0), priority(8, 0), priority(9, 3)], []],
  ['§5.1 half-closed (remote): WINDOW_UPDATE, PRIORITY', [doneGet, windowUpdate(1, 1), priority(1, 0)], []],
  ['§5.1 half-closed (remote): RST_STREAM', [doneGet, reset(1, 8)], []],
  [
    '§5.1 closed: PRIORITY, WINDOW_UPDATE, RST_STREAM',
    [doneGet, reset(1, 8), priority(1, 0), windowUpdate(1, 1), reset(1, 8)],
    [],
  ],
  ['§5.1.1 ids may be passed over', [headers(3, get, true), headers(9, get, true)], []],
  ['§6.1 DATA with padding', [openPost, paddedData(1, 'ab', 255, true)], []],
  ['§6.1 DATA of nothing but padding', [openPost, paddedData(1, '', 0), paddedData(1, '', 9, true)], []],
  [
    '§6.2 HEADERS with padding and priority',
    [
      frame(
        1,
        flags.endHeaders | flags.endStream | flags.padded | flags.priority,
        1,
        Buffer.concat([Buffer.from([2]), uint32(0x8000_0003), Buffer.from([9]), block(get), Buffer.alloc(2)]),
      ),
    ],
    [],
  ],
  ['§6.5 unknown settings are ignored', [settings([0xfe, 1], [0, 0])], ['SETTINGS ack']],
  ['§6.5 the same setting twice', [settings([4, 1], [4, 2])], ['SETTINGS ack']],
  [
    '§6.5.2 limits of values',
    [settings([2, 1], [4, 0x7fff_ffff], [5, 16_384], [5, 16_777_215], [8, 1])],
    ['SETTINGS ack'],
  ],
  ['§6.7 PING is answered with its bytes', [ping('abcdefgh')], ['PING ack abcdefgh']],
  ['§6.7 PING with ACK is not answered', [ping('abcdefgh', flags.ack)], []],
  ['§6.8 GOAWAY of a client', [goaway(0, 0), ping()], ['PING ack 12345678']],
  [
    '§6.10 a block in three frames',
    [
      frame(1, flags.endStream, 1, block(get.slice(0, 2))),
      frame(9, 0, 1, block(get.slice(2, 4))),
      frame(9, flags.endHeaders, 1, block(get.slice(4))),
    ],
    [],
  ],
  ['§6.10 empty CONTINUATION', [frame(1, flags.endStream, 1, block(get)), frame(9, flags.endHeaders, 1)], []],
  ['§8.1 trailers', [openPost, data(1, 'a'), headers(1, ['x-sum', '1'], true)], []],
  ['§8.2.2 te: trailers', [headers(1, fieldsOf('te', 'trailers'), true)], []],
] as const satisfies readonly Row[];

test.each<Row>(acceptedRows)('a server accepts: %s', (_rule, frames, answer) => {
  const made = server().feed(...frames);
  expect(made.sent()).toEqual(answer);
  expect(made.failure).toBeUndefined();
});

const connectionErrorRows = [
  ['§4.2 DATA above 16384', [openPost, data(1, Buffer.alloc(16_385))], goawayOf('FRAME_SIZE_ERROR', 1)],
  ['§4.2 HEADERS above 16384', [frame(1, 5, 1, Buffer.alloc(16_385))], goawayOf('FRAME_SIZE_ERROR')],
  ['§4.2 an unknown type above 16384', [frame(99, 0, 0, Buffer.alloc(16_385))], goawayOf('FRAME_SIZE_ERROR')],
  ['§4.3 a block that is no HPACK', [frame(1, 5, 1, Buffer.from([0xff]))], goawayOf('COMPRESSION_ERROR')],
  ['§4.3 other frames inside a block', [frame(1, 1, 1, block(get)), ping()], goawayOf('PROTOCOL_ERROR')],
  [
    '§4.3 an unknown type inside a block',
    [frame(1, 1, 1, block(get)), frame(99, 0, 1)],
    goawayOf('PROTOCOL_ERROR'),
  ],
  ['§4.3 DATA inside a block', [frame(1, 0, 1, block(get)), data(1, 'a')], goawayOf('PROTOCOL_ERROR')],
  [
    '§4.3 HEADERS of another stream inside a block',
    [frame(1, 1, 1, block(get)), doneGet],
    goawayOf('PROTOCOL_ERROR'),
  ],
  ['§5.1 idle: DATA', [data(1, 'a')], goawayOf('PROTOCOL_ERROR')],
  ['§5.1 idle: RST_STREAM', [reset(1, 8)], goawayOf('PROTOCOL_ERROR')],
  ['§5.1 idle: WINDOW_UPDATE', [windowUpdate(1, 1)], goawayOf('PROTOCOL_ERROR')],
  ['§5.1 idle: CONTINUATION', [frame(9, 4, 1, block(get))], goawayOf('PROTOCOL_ERROR')],
  ['§5.1.1 HEADERS with an even id', [headers(2, get, true)], goawayOf('PROTOCOL_ERROR')],
  ['§5.1.1 DATA with an even id', [data(2, 'a')], goawayOf('PROTOCOL_ERROR')],
  [
    '§5.1.1 an id lower than the last',
    [headers(5, get, true), headers(3, get, true)],
    goawayOf('PROTOCOL_ERROR', 5),
  ],
  ['§6.1 DATA on stream 0', [data(0, 'a')], goawayOf('PROTOCOL_ERROR')],
  [
    '§6.1 more padding than payload',
    [openPost, frame(0, flags.padded, 1, Buffer.from([6, 1, 2, 3, 4]))],
    goawayOf('PROTOCOL_ERROR', 1),
  ],
  ['§6.1 padding without its length', [openPost, frame(0, flags.padded, 1)], goawayOf('FRAME_SIZE_ERROR', 1)],
  ['§6.2 HEADERS on stream 0', [headers(0, get, true)], goawayOf('PROTOCOL_ERROR')],
  [
    '§6.2 more padding than payload',
    [frame(1, flags.padded | 5, 1, Buffer.from([9, 0x82]))],
    goawayOf('PROTOCOL_ERROR'),
  ],
  ['§6.2 no room for the priority', [frame(1, flags.priority | 5, 1, 'abcd')], goawayOf('FRAME_SIZE_ERROR')],
  ['§6.3 PRIORITY on stream 0', [priority(0, 1)], goawayOf('PROTOCOL_ERROR')],
  ['§6.3 PRIORITY of 4 bytes on an idle stream', [frame(2, 0, 3, 'abcd')], goawayOf('FRAME_SIZE_ERROR')],
  ['§5.3.1 PRIORITY of an idle stream on itself', [priority(3, 3)], goawayOf('PROTOCOL_ERROR')],
  ['§6.4 RST_STREAM on stream 0', [reset(0, 8)], goawayOf('PROTOCOL_ERROR')],
  ['§6.4 RST_STREAM of 3 bytes', [openPost, frame(3, 0, 1, 'abc')], goawayOf('FRAME_SIZE_ERROR', 1)],
  ['§6.5 SETTINGS on a stream', [frame(4, 0, 1)], goawayOf('PROTOCOL_ERROR')],
  ['§6.5 SETTINGS of 5 bytes', [frame(4, 0, 0, 'abcde')], goawayOf('FRAME_SIZE_ERROR')],
  ['§6.5 SETTINGS with ACK and payload', [frame(4, 1, 0, Buffer.alloc(6))], goawayOf('FRAME_SIZE_ERROR')],
  ['§6.5.2 ENABLE_PUSH 2', [settings([2, 2])], goawayOf('PROTOCOL_ERROR')],
  ['§6.5.2 INITIAL_WINDOW_SIZE 2^31', [settings([4, 0x8000_0000])], goawayOf('FLOW_CONTROL_ERROR')],
  ['§6.5.2 MAX_FRAME_SIZE 16383', [settings([5, 16_383])], goawayOf('PROTOCOL_ERROR')],
  ['§6.5.2 MAX_FRAME_SIZE 2^24', [settings([5, 16_777_216])], goawayOf('PROTOCOL_ERROR')],
  ['RFC 8441 §3 ENABLE_CONNECT_PROTOCOL 2', [settings([8, 2])], goawayOf('PROTOCOL_ERROR')],
  ['§6.6 PUSH_PROMISE', [frame(5, 4, 1, Buffer.concat([uint32(2), block(get)]))], goawayOf('PROTOCOL_ERROR')],
  ['§6.7 PING on a stream', [frame(6, 0, 1, '12345678')], goawayOf('PROTOCOL_ERROR')],
  ['§6.7 PING of 6 bytes', [ping('123456')], goawayOf('FRAME_SIZE_ERROR')],
  ['§6.8 GOAWAY on a stream', [frame(7, 0, 1, Buffer.alloc(8))], goawayOf('PROTOCOL_ERROR')],
  ['§6.8 GOAWAY of 7 bytes', [frame(7, 0, 0, Buffer.alloc(7))], goawayOf('FRAME_SIZE_ERROR')],
  ['§6.9 WINDOW_UPDATE of 0', [windowUpdate(0, 0)], goawayOf('PROTOCOL_ERROR')],
  ['§6.9 WINDOW_UPDATE of 3 bytes', [frame(8, 0, 0, 'abc')], goawayOf('FRAME_SIZE_ERROR')],
  [
    '§6.9.1 a connection window over 2^31 - 1',
    [windowUpdate(0, 0x7fff_ffff)],
    goawayOf('FLOW_CONTROL_ERROR'),
  ],
  [
    '§6.9.2 a stream window over 2^31 - 1 by SETTINGS',
    [openPost, windowUpdate(1, 0x7fff_0000), settings([4, 0x7fff_ffff])],
    goawayOf('FLOW_CONTROL_ERROR', 1),
  ],
  [
    '§6.10 CONTINUATION on stream 0',
    [frame(1, 1, 1, block(get)), frame(9, 4, 0)],
    goawayOf('PROTOCOL_ERROR'),
  ],
  [
    '§6.10 CONTINUATION of another stream',
    [frame(1, 1, 1, block(get)), frame(9, 4, 3)],
    goawayOf('PROTOCOL_ERROR'),
  ],
  ['§6.10 CONTINUATION behind a whole block', [doneGet, frame(9, 4, 1)], goawayOf('PROTOCOL_ERROR', 1)],
  ['§6.10 CONTINUATION behind DATA', [openPost, data(1, 'a'), frame(9, 4, 1)], goawayOf('PROTOCOL_ERROR', 1)],
  [
    'RFC 7541 §2.3.3 an index beyond the tables',
    [frame(1, 5, 1, Buffer.from([0xc6]))],
    goawayOf('COMPRESSION_ERROR'),
  ],
  [
    'RFC 7541 §4.2 a table above our limit',
    [frame(1, 5, 1, Buffer.from([0x3f, 0xe2, 0x1f]))],
    goawayOf('COMPRESSION_ERROR'),
  ],
  [
    'RFC 7541 §5.2 Huffman padding longer than 7 bits',
    [frame(1, 5, 1, Buffer.from([0x00, 0x01, 0x61, 0x82, 0xff, 0xff]))],
    goawayOf('COMPRESSION_ERROR'),
  ],
  ['RFC 7541 §6.1 index 0', [frame(1, 5, 1, Buffer.from([0x80]))], goawayOf('COMPRESSION_ERROR')],
  [
    'RFC 7541 §6.3 a size update behind a field',
    [frame(1, 5, 1, Buffer.concat([block(get), Buffer.from([0x20])]))],
    goawayOf('COMPRESSION_ERROR'),
  ],
] as const;

test.each(connectionErrorRows)('a server ends the connection: %s', (_rule, frames, goawayLine) => {
  const made = server().feed(...frames, ping('too late'));
  expect(made.sent().at(-1)).toBe(goawayLine);
  expect(made.session.isOver).toBe(true);
  expect(made.calls.filter((call) => call.startsWith('failed'))).toHaveLength(1);
});

const streamErrorRows = [
  ['§5.1 half-closed (remote): DATA', [doneGet, data(1, 'a')], 'STREAM_CLOSED'],
  ['§5.1 half-closed (remote): HEADERS', [doneGet, headers(1, ['a', 'b'], true)], 'STREAM_CLOSED'],
  ['§5.1 closed by its RST_STREAM: DATA', [openPost, reset(1, 8), data(1, 'a')], 'STREAM_CLOSED'],
  ['§5.1 closed by its RST_STREAM: HEADERS', [openPost, reset(1, 8), headers(1, get, true)], 'STREAM_CLOSED'],
  [
    '§5.3.1 HEADERS that depend on themselves',
    [
      frame(
        1,
        flags.endHeaders | flags.endStream | flags.priority,
        1,
        Buffer.concat([uint32(1), Buffer.from([0]), block(get)]),
      ),
    ],
    'PROTOCOL_ERROR',
  ],
  ['§5.3.1 PRIORITY on itself', [openPost, priority(1, 1)], 'PROTOCOL_ERROR'],
  ['§6.3 PRIORITY of 4 bytes', [openPost, frame(2, 0, 1, 'abcd')], 'FRAME_SIZE_ERROR'],
  ['§6.9 WINDOW_UPDATE of 0', [openPost, windowUpdate(1, 0)], 'PROTOCOL_ERROR'],
  ['§6.9.1 a stream window over 2^31 - 1', [openPost, windowUpdate(1, 0x7fff_ffff)], 'FLOW_CONTROL_ERROR'],
  ['§8.1 a second head without END_STREAM', [openPost, headers(1, ['a', 'b'])], 'PROTOCOL_ERROR'],
  [
    '§8.1 pseudo-header fields in trailers',
    [openPost, headers(1, [':method', 'GET'], true)],
    'PROTOCOL_ERROR',
  ],
  [
    '§8.1.1 content-length and no body',
    [headers(1, fieldsOf('content-length', '1'), true)],
    'PROTOCOL_ERROR',
  ],
  [
    '§8.1.1 content-length above the payload',
    [headers(1, fieldsOf('content-length', '5')), data(1, 'four', true)],
    'PROTOCOL_ERROR',
  ],
  [
    '§8.1.1 content-length below the payload',
    [headers(1, fieldsOf('content-length', '3')), data(1, 'four')],
    'PROTOCOL_ERROR',
  ],
  [
    '§8.1.1 content-length above the payload of several frames',
    [headers(1, fieldsOf('content-length', '9')), data(1, 'four'), data(1, 'four', true)],
    'PROTOCOL_ERROR',
  ],
  [
    '§8.1.1 content-length above the payload before trailers',
    [headers(1, fieldsOf('content-length', '9')), data(1, 'four'), headers(1, ['a', 'b'], true)],
    'PROTOCOL_ERROR',
  ],
  ['§8.2.1 an upper-case name', [headers(1, fieldsOf('X-Test', 'a'), true)], 'PROTOCOL_ERROR'],
  ['§8.2.1 an upper-case name in trailers', [openPost, headers(1, ['X-Test', 'a'], true)], 'PROTOCOL_ERROR'],
  ['§8.2.1 a line feed in a value', [headers(1, fieldsOf('x-test', 'a\nb'), true)], 'PROTOCOL_ERROR'],
  ['§8.2.2 connection', [headers(1, fieldsOf('connection', 'keep-alive'), true)], 'PROTOCOL_ERROR'],
  [
    '§8.2.2 te other than trailers',
    [headers(1, fieldsOf('te', 'trailers, deflate'), true)],
    'PROTOCOL_ERROR',
  ],
  ['§8.3 an unknown pseudo-header field', [headers(1, [':test', 'ok', ...get], true)], 'PROTOCOL_ERROR'],
  ['§8.3 a response pseudo-header field', [headers(1, [':status', '200', ...get], true)], 'PROTOCOL_ERROR'],
  ['§8.3 a pseudo-header field behind others', [headers(1, ['a', 'b', ...get], true)], 'PROTOCOL_ERROR'],
  ['§8.3.1 no :method', [headers(1, without(':method'), true)], 'PROTOCOL_ERROR'],
  ['§8.3.1 no :scheme', [headers(1, without(':scheme'), true)], 'PROTOCOL_ERROR'],
  ['§8.3.1 no :path', [headers(1, without(':path'), true)], 'PROTOCOL_ERROR'],
  ['§8.3.1 an empty :path', [headers(1, changed(':path', ''), true)], 'PROTOCOL_ERROR'],
  ['§8.3.1 :method twice', [headers(1, [':method', 'GET', ...get], true)], 'PROTOCOL_ERROR'],
  ['§8.3.1 :scheme twice', [headers(1, [':scheme', 'https', ...get], true)], 'PROTOCOL_ERROR'],
  ['§8.3.1 :path twice', [headers(1, [':path', '/', ...get], true)], 'PROTOCOL_ERROR'],
] as const;

test.each(streamErrorRows)('a server resets the stream: %s', (_rule, frames, code) => {
  const made = server().feed(...frames, ping('alive on'));
  expect(made.sent()).toEqual([`RST_STREAM 1 ${code}`, 'PING ack alive on']);
  expect(made.session.openCount).toBe(0);
  expect(made.calls.filter((call) => call.includes('end')).every((call) => call.includes('request'))).toBe(
    true,
  );
});

test.each([
  ['DATA', data(1, 'a')],
  ['HEADERS', headers(1, get, true)],
  ['the same head again', doneGet],
])('§5.1 a server ends the connection: %s on a stream that is complete', (_what, late) => {
  const made = server().feed(doneGet);
  made.stream().sendHead(ok, true);
  expect(made.feed(late).sent()).toEqual(['HEADERS 1 end :status=200', goawayOf('STREAM_CLOSED', 1)]);
});

test('§5.1.2 streams above the limit are refused and may come again', () => {
  const made = server({ maxConcurrentStreams: 2 });
  made.feed(headers(1, get), headers(3, get), headers(5, get, true));
  expect(made.sent()).toEqual(['RST_STREAM 5 REFUSED_STREAM']);
  made.feed(reset(1, 8), headers(7, get, true));
  expect(made.sent()).toEqual([]);
  expect(made.session.openCount).toBe(2);
  expect(made.session.stats.refusedStreams).toBe(1);
});

test('§6.9.2 a window of 1 lets one byte through, and SETTINGS open it further', () => {
  const made = server().feed(settings([4, 1]), doneGet);
  made.stream().sendHead(ok, false);
  expect(made.stream().sendData(Buffer.from('hello'))).toBe(false);
  made.stream().sendEnd();
  expect(made.sent()).toEqual(['SETTINGS ack', 'HEADERS 1 :status=200', 'DATA 1 h']);
  expect(made.feed(settings([4, 3])).sent()).toEqual(['SETTINGS ack', 'DATA 1 el']);
  expect(made.feed(windowUpdate(1, 9)).sent()).toEqual(['DATA 1 end lo']);
});

test('§6.9.2 a window below zero has to be filled up first', () => {
  const made = server().feed(settings([4, 3]), doneGet);
  made.stream().sendHead(ok, false);
  made.stream().sendData(Buffer.from('abcdef'));
  made.feed(settings([4, 0]));
  made.sent();
  expect(made.feed(windowUpdate(1, 3)).sent()).toEqual([]);
  expect(made.feed(windowUpdate(1, 2)).sent()).toEqual(['DATA 1 de']);
});
