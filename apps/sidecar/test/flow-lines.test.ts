import { expect, test } from 'vitest';

import { bytesText, durationText, flowHeading, flowLine, printable } from '../src/flow-lines.ts';
import type { FlowSummary } from '../src/flow-summary.ts';

function summary(change: Partial<FlowSummary> = {}): FlowSummary {
  return {
    flowId: 1,
    method: 'GET',
    url: 'https://example.org/',
    protocol: 'HTTP/1.1',
    status: 200,
    bytesUp: 0,
    bytesDown: 1_256,
    durationMs: 12.3,
    note: undefined,
    ...change,
  };
}

test.each([
  ['an exchange', {}, '  GET     200     HTTP/1.1       0 B   1.3 kB    12 ms  https://example.org/'],
  [
    'a tunnel',
    { method: 'CONNECT', status: 'tunnel', protocol: 'tunnel', url: 'example.org:443' },
    '  CONNECT tunnel  tunnel         0 B   1.3 kB    12 ms  example.org:443',
  ],
  [
    'a refusal says why',
    { status: 'blocked', note: 'blocked_host' },
    '  GET     blocked HTTP/1.1       0 B   1.3 kB    12 ms  https://example.org/  (blocked_host)',
  ],
] as const)('%s', (_rule, change, line) => {
  expect(flowLine(summary(change))).toBe(line);
});

test('the heading stands above its columns', () => {
  expect(flowHeading.indexOf('URL')).toBe(flowLine(summary()).indexOf('https:'));
});

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1_000, '1.0 kB'],
  [9_949, '9.9 kB'],
  [9_950, '10 kB'],
  [999_499, '999 kB'],
  [999_500, '1.0 MB'],
  [20_000_000, '20 MB'],
  [3_200_000_000, '3.2 GB'],
  [5e15, '5000 TB'],
])('%d bytes are %s', (bytes, text) => {
  expect(bytesText(bytes)).toBe(text);
});

test.each([
  [0.04, '0.0 ms'],
  [9.94, '9.9 ms'],
  [9.96, '10 ms'],
  [999.4, '999 ms'],
  [999.6, '1.0 s'],
  [75_000, '75.0 s'],
])('%d milliseconds are %s', (ms, text) => {
  expect(durationText(ms)).toBe(text);
});

test('a URL cannot command the terminal', () => {
  expect(printable('a\u001B[2Jb\r\n\u0085c')).toBe('a?[2Jb???c');
  expect(flowLine(summary({ url: 'https://a/\u001B]0;x\u0007' }))).not.toMatch(/\p{Cc}/u);
});
