import { expect, test } from 'vitest';

import { isReservedOpcode, opcodeLabel } from '../../src/websocket/opcode.ts';

const labels = ['continuation', 'text', 'binary', 'other', 'other', 'other', 'other', 'other'];
labels.push('close', 'ping', 'pong', 'other', 'other', 'other', 'other', 'other');

test.each(labels.map((label, code) => [code, label] as const))('opcode %i is %s', (code, label) => {
  expect(opcodeLabel(code)).toBe(label);
  expect(isReservedOpcode(code)).toBe(label === 'other');
});
