import { expect, test } from 'vitest';

import { HeaderBlockParts } from '../../src/h2/header-block.ts';

test('parts are copied and come back as one', () => {
  const parts = new HeaderBlockParts();
  const bytes = Buffer.from('-abc-');
  parts.open(7, true, 3);
  parts.add(bytes, 1, 3);
  parts.add(bytes, 3, 3);
  parts.add(bytes, 3, 4);
  bytes.fill(0);
  expect([parts.streamId, parts.isEnded, parts.dependsOn, parts.byteLength]).toEqual([7, true, 3, 3]);
  expect(parts.close().toString()).toBe('abc');
});

test('a closed block leaves nothing to the next', () => {
  const parts = new HeaderBlockParts();
  parts.open(1, false, -1);
  parts.continuationCount = 9;
  parts.add(Buffer.from('old'), 0, 3);
  parts.close();
  expect([parts.streamId, parts.byteLength]).toEqual([0, 0]);
  parts.open(3, false, -1);
  expect([parts.continuationCount, parts.close().length]).toEqual([0, 0]);
});
