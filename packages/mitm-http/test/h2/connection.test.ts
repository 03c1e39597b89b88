import { describe, expect, test } from 'vitest';

import { h2Code } from '../../src/h2/error-codes.ts';
import { client, ok, server } from './session-case.ts';
import { data, get, headers, ping, post, reset } from './wire-frames.ts';

describe('the end of a session tells every stream once', () => {
  test('when the peer breaks a rule: streams first, then the session', () => {
    const made = server().feed(headers(1, post), headers(3, get, true), ping('short'));
    expect(made.told()).toEqual([
      '1 request POST /',
      '3 request GET / end',
      '1 reset FRAME_SIZE_ERROR by session',
      '3 reset FRAME_SIZE_ERROR by session',
      'failed frame_size_error',
    ]);
    expect(made.sent()).toEqual(['GOAWAY 3 FRAME_SIZE_ERROR']);
    made.feed(ping());
    made.session.end();
    made.session.abort(0);
    expect([made.sent(), made.told(), made.session.openCount]).toEqual([[], [], 0]);
  });

  test('when the transport ends: a request whose head never left is surely unprocessed', () => {
    const made = client();
    made.open(get);
    const unsent = made.session.openStream(made.recorder());
    made.session.end();
    expect(made.told()).toEqual([
      '1 reset INTERNAL_ERROR by session unprocessed',
      '1 reset INTERNAL_ERROR by session',
    ]);
    unsent.sendHead(get, true);
    expect([made.session.isOver, made.session.canOpen, unsent.id]).toEqual([true, false, 0]);
  });

  test('but not one that is complete', () => {
    const made = client();
    made.open(get);
    made.feed(headers(1, ok, true));
    made.told();
    made.session.end();
    expect(made.told()).toEqual([]);
  });

  test('and a listener that resets others within the call changes nothing', () => {
    const made = server().feed(headers(1, post), headers(3, post));
    made.told();
    made.recorder(0).reset = () => {
      made.stream(1).reset(h2Code.cancel);
      made.session.abort(0);
      made.session.end();
    };
    made.session.abort(h2Code.noError, 'going home');
    expect([made.told(), made.sent()]).toEqual([['3 reset NO_ERROR by session'], ['GOAWAY 3 NO_ERROR']]);
  });
});

test('a fault of one stream leaves the others alone', () => {
  const made = server().feed(headers(1, [...post, 'content-length', '1']), headers(3, post));
  made.feed(data(1, 'ab'), data(3, 'cd', true));
  expect(made.told().slice(2)).toEqual(['1 reset PROTOCOL_ERROR by local', '3 data cd end']);
});

test('numbers about a session', () => {
  const made = server().feed(
    headers(1, post),
    data(1, 'abc', true),
    headers(3, get),
    reset(3, 8),
    headers(5, ['a', 'b']),
  );
  made.stream().sendHead(ok, false);
  made.stream().sendData(Buffer.from('hello'));
  made.stream().sendEnd();
  expect(made.session.stats).toEqual({
    openedStreams: 2,
    completedStreams: 1,
    resetsReceived: 1,
    resetsSent: 1,
    refusedStreams: 0,
    dataBytesReceived: 3,
    dataBytesSent: 5,
  });
});
