import { once } from 'node:events';

import { expect, test } from 'vitest';

import { ByteLog } from './byte-log.ts';
import { linkedPair } from './linked-pair.ts';

test('what one end writes, the other reads', async () => {
  const [one, other] = linkedPair();
  const log = new ByteLog(other);
  one.write('there');
  await log.until('there');
  const back = new ByteLog(one);
  other.end('and back');
  await back.ended();
  expect(back.received.toString()).toBe('and back');
});

test('an end that is destroyed ends the other, which still gets what was written before', async () => {
  const [one, other] = linkedPair();
  const log = new ByteLog(other);
  one.write('last words');
  await log.until('last words');
  one.destroy();
  await once(one, 'close');
  await log.ended();
  expect(log.received.toString()).toBe('last words');
});
