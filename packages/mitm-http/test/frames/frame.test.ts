import { expect, test } from 'vitest';

import { frameKinds } from '../../src/frames/frame.ts';
import type { FrameParser } from '../../src/frames/frame.ts';

test('the kinds of frames are those the handler is told', () => {
  expect(frameKinds).toEqual([
    'sse_data',
    'ndjson_line',
    'grpc_message',
    'websocket_text',
    'websocket_binary',
    'websocket_close',
  ]);
});

test('a parser may hold bytes back until the body ends', () => {
  const held: Buffer[] = [];
  const parser: FrameParser = {
    kind: 'ndjson_line',
    push: (chunk) => void held.push(Buffer.from(chunk)),
    end: (emit) => emit(Buffer.concat(held)),
  };
  const lines: string[] = [];
  parser.push(Buffer.from('{}'), () => expect.unreachable('nothing is complete yet'));
  parser.end((payload) => lines.push(Buffer.from(payload).toString()));
  expect(lines).toEqual(['{}']);
});
