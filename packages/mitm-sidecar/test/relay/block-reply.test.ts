import { block } from 'mitm-core';
import { expect, test } from 'vitest';

import { blockDetail, blockReply } from '../../src/relay/block-reply.ts';

test('the client gets status, body and headers of the handler', () => {
  const body = Buffer.from('no');
  expect(blockReply(block(403, body, { headers: ['X-Why', 'because'] }))).toEqual({
    status: 403,
    body,
    headers: ['X-Why', 'because'],
  });
  expect(blockReply(block(429, body))).toEqual({ status: 429, body });
});

test('the flow says by whom it was blocked, and why where the handler has a word for it', () => {
  expect(blockDetail(block(403, ''))).toBe('blocked_by_handler');
  expect(blockDetail(block(403, '', { reasonCode: 'no_cats' }))).toBe('blocked_by_handler:no_cats');
});
