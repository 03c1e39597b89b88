import { expect, test } from 'vitest';

import { FrameError, frameErrorCodes, frameKinds } from '../../src/frames/frame.ts';
import type { FrameParser } from '../../src/frames/frame.ts';

test('the kinds of frames are those the handler is told', () => {
  expect(frameKinds).toEqual([
    'sse_data',
    'ndjson_line',
    'json_value',
    'event_stream_message',
    'grpc_message',
    'websocket_text',
    'websocket_binary',
    'websocket_close',
  ]);
});

test('a parser may hold bytes back until the body ends, and tells facts with each frame', () => {
  const held: Buffer[] = [];
  const parser: FrameParser = {
    kind: 'ndjson_line',
    push: (chunk) => void held.push(Buffer.from(chunk)),
    end: (emit) => emit(Buffer.concat(held), { kind: 'ndjson_line', isPartial: true }),
  };
  const lines: string[] = [];
  parser.push(Buffer.from('{}'), () => expect.unreachable('nothing is complete yet'));
  parser.end((payload, facts) => lines.push(facts.kind, Buffer.from(payload).toString()));
  expect(lines).toEqual(['ndjson_line', '{}']);
});

test('every code of an error is a snake_case fact and stands once', () => {
  for (const code of frameErrorCodes) expect(code).toMatch(/^[a-z\d]+(?:_[a-z\d]+)+$/);
  expect(new Set(frameErrorCodes).size).toBe(frameErrorCodes.length);
});

test('an error tells its rule, and what is known of the place', () => {
  const error = new FrameError('frame_too_large', 'what and why');
  expect(error).toBeInstanceOf(Error);
  expect(error).toMatchObject({
    name: 'FrameError',
    code: 'frame_too_large',
    message: 'what and why',
    facts: {},
  });
  expect(new FrameError('truncated_prefix', '', { prefixBytes: 3 }).facts).toEqual({ prefixBytes: 3 });
});
