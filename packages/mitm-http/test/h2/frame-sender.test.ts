import { describe, expect, test } from 'vitest';

import type { SessionCase } from './session-case.ts';
import { client, ok, server } from './session-case.ts';
import { get, headers, post, reset, settings, windowUpdate } from './wire-frames.ts';

// A server with answers under way on streams 1, 3, 5 …
function answering(count: number, initialWindow = 1_000_000): SessionCase {
  const made = server().feed(settings([4, initialWindow]));
  for (let i = 0; i < count; i++) {
    made.feed(headers(2 * i + 1, get, true));
    made.stream(i).sendHead(ok, false);
  }
  made.sent();
  made.told();
  return made;
}

test('streams that wait for the connection take turns, a frame each', () => {
  const made = answering(3);
  for (const stream of made.streams) stream.sendData(Buffer.alloc(65_535));
  expect(made.sent()).toEqual(['DATA 1 16384', 'DATA 1 16384', 'DATA 1 16384', 'DATA 1 16383']);
  made.feed(windowUpdate(0, 65_536));
  expect(made.sent()).toEqual(['DATA 3 16384', 'DATA 5 16384', 'DATA 3 16384', 'DATA 5 16384']);
});

test('a stream without window does not hold up the others', () => {
  const made = answering(2, 10);
  made.stream(0).sendData(Buffer.alloc(11));
  expect(made.stream(1).sendData(Buffer.from('free'))).toBe(true);
  expect(made.sent().at(-1)).toBe('DATA 3 free');
});

test('WINDOW_UPDATE of a stream serves that stream only', () => {
  const made = answering(2, 1);
  made.stream(0).sendData(Buffer.from('ab'));
  made.stream(1).sendData(Buffer.from('cd'));
  made.sent();
  expect(made.feed(windowUpdate(3, 5)).sent()).toEqual(['DATA 3 d']);
});

describe('a full socket', () => {
  test('holds payload back, but no heads, and lets all go in turn when it has room', () => {
    const made = answering(2);
    made.session.setCongested(true);
    expect(made.stream(0).sendData(Buffer.from('one'))).toBe(false);
    expect(made.stream(1).sendData(Buffer.from('two'))).toBe(false);
    expect(made.stream(0).isWritable).toBe(false);
    made.feed(headers(5, get, true));
    made.stream(2).sendHead(ok, true);
    expect(made.sent()).toEqual(['HEADERS 5 end :status=200']);
    made.told();
    made.session.setCongested(false);
    expect(made.told()).toEqual(['1 writable', '3 writable']);
    expect(made.sent()).toEqual(['DATA 1 one', 'DATA 3 two']);
  });

  test('told while it has room, nothing happens', () => {
    const made = answering(1);
    made.session.setCongested(false);
    expect([made.sent(), made.told()]).toEqual([[], []]);
  });
});

describe('an output of 256 KiB is full', () => {
  test('what is more waits, and goes on when the output is taken', () => {
    const made = answering(1, 10_000_000).feed(windowUpdate(0, 10_000_000));
    const piece = Buffer.alloc(100_000);
    expect([1, 2, 3, 4].map(() => made.stream().sendData(piece))).toEqual([true, true, false, false]);
    expect(made.session.queuedBytes).toBe(100_000);
    const first = made.session.takeOutput();
    expect(first?.length).toBeGreaterThan(300_000);
    expect([made.session.queuedBytes, made.told()]).toEqual([0, ['1 writable']]);
    expect(made.session.takeOutput()?.length).toBeGreaterThan(100_000);
  });
});

describe('a listener that writes when it is told', () => {
  test('may write and end within the call', () => {
    const made = answering(2, 2);
    for (const [index, stream] of made.streams.entries()) {
      made.recorder(index).onWritable = () => {
        made.recorder(index).onWritable = () => undefined;
        stream.sendData(Buffer.from('more'));
        stream.sendEnd();
      };
      stream.sendData(Buffer.from('abc'));
    }
    made.sent();
    made.feed(settings([4, 20]));
    expect(made.sent()).toEqual([
      'SETTINGS ack',
      'DATA 1 c',
      'DATA 1 end more',
      'DATA 3 c',
      'DATA 3 end more',
    ]);
    expect(made.session.openCount).toBe(0);
  });

  test('may reset other streams that wait', () => {
    const made = answering(2, 0);
    for (const stream of made.streams) stream.sendData(Buffer.from('abc'));
    made.recorder(0).onWritable = () => made.stream(1).reset(8);
    made.feed(settings([4, 20]));
    expect(made.sent()).toEqual(['SETTINGS ack', 'DATA 1 abc', 'RST_STREAM 3 CANCEL']);
    expect(made.session.queuedBytes).toBe(0);
  });

  test('may end the session', () => {
    const made = answering(2, 0);
    for (const stream of made.streams) stream.sendData(Buffer.from('abc'));
    made.recorder(0).onWritable = () => made.session.abort(0);
    made.feed(settings([4, 20]));
    expect(made.sent()).toEqual(['SETTINGS ack', 'DATA 1 abc', 'GOAWAY 3 NO_ERROR']);
  });

  test('that throws does not keep the others from being served later', () => {
    const made = answering(2, 0);
    for (const stream of made.streams) stream.sendData(Buffer.from('abc'));
    made.recorder(0).onWritable = () => {
      throw new RangeError('a fault of the owner');
    };
    expect(() => made.feed(settings([4, 20]))).toThrow('a fault of the owner');
    made.session.setCongested(false);
    expect(made.sent()).toEqual(['SETTINGS ack', 'DATA 1 abc', 'DATA 3 abc']);
  });
});

test('what waits on a stream that the peer resets is dropped', () => {
  const made = answering(1, 0);
  made.stream().sendData(Buffer.from('abc'));
  made.feed(reset(1, 8), settings([4, 20]));
  expect([made.sent(), made.session.queuedBytes]).toEqual([['SETTINGS ack'], 0]);
});

test('several pieces wait in their order, and the last carries the end', () => {
  const made = answering(1, 0);
  for (const text of ['one', 'two', 'three']) made.stream().sendData(Buffer.from(text));
  made.stream().sendEnd();
  expect(made.feed(windowUpdate(1, 4)).sent()).toEqual(['DATA 1 one', 'DATA 1 t']);
  expect(made.feed(windowUpdate(1, 40)).sent()).toEqual(['DATA 1 wo', 'DATA 1 end three']);
});

test('a request of a client takes the windows of the moment when its head goes', () => {
  const made = client({}, [4, 3]);
  const stream = made.open(post, false);
  made.sent();
  expect(stream.sendData(Buffer.from('abcdef'))).toBe(false);
  expect(made.sent()).toEqual(['DATA 1 abc']);
});
