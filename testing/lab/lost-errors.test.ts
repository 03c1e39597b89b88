import { EventEmitter } from 'node:events';

import { expect, test } from 'vitest';

import { LostErrors } from './lost-errors.ts';

test('errors that reach nobody are found, with what was going on', () => {
  const lost = new LostErrors();
  lost.underWay.add('one thing');
  EventEmitter.prototype.emit.call(process, 'uncaughtExceptionMonitor', new Error('nobody caught it'));
  lost[Symbol.dispose]();
  EventEmitter.prototype.emit.call(process, 'uncaughtExceptionMonitor', new Error('nobody looked any more'));
  expect(lost.found).toEqual([expect.stringMatching(/^with one thing: Error: nobody caught it\n/)]);
});
