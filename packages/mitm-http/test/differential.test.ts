// The same bytes for our reader and for llhttp: both take the same message or both refuse it, and each exception has its reason.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { ours, suspiciousLines, wireMessage } from './differential-messages.ts';
import { differenceRules, isExplainedBy, isSame } from './differential-rules.ts';
import type { Comparison, DifferenceRule } from './differential-rules.ts';
import { ReferenceServer } from './reference-server.ts';
import { bytesOf } from './wire-text.ts';

const rules = Object.values(differenceRules);

async function compare(server: ReferenceServer, text: string): Promise<Comparison> {
  const bytes = bytesOf(text);
  return { text, ours: ours(bytes), theirs: await server.read(bytes) };
}

/** What is wrong with a comparison; nothing when both agree or a rule says why not. */
function faultOf(comparison: Comparison, known: readonly DifferenceRule[]): Comparison | undefined {
  if (isSame(comparison) || known.some((rule) => isExplainedBy(rule, comparison))) return undefined;
  return comparison;
}

test('law: each difference from llhttp has its reason', async () => {
  const server = new ReferenceServer();
  let acceptedCount = 0;
  await fc.assert(
    fc.asyncProperty(wireMessage, async (text) => {
      const comparison = await compare(server, text);
      if (comparison.ours.isAccepted && comparison.theirs.isAccepted) acceptedCount += 1;
      expect(faultOf(comparison, rules)).toBeUndefined();
    }),
    { numRuns: 5000 },
  );
  // Parts that spoil each other too often would compare refusals only.
  expect(acceptedCount).toBeGreaterThan(500);
});

test('each suspicious line alone and each two of them, before a body of either framing', async () => {
  const server = new ReferenceServer();
  const faults: Comparison[] = [];
  for (const first of suspiciousLines) {
    for (const second of ['', ...suspiciousLines]) {
      const lines = ['POST / HTTP/1.1', 'Host: a.test', first, second].filter(Boolean).join('\r\n');
      const comparison = await compare(server, `${lines}\r\n\r\n5\r\nhello\r\n0\r\n\r\n`);
      const fault = faultOf(comparison, rules);
      if (fault !== undefined) faults.push(fault);
    }
  }
  expect(faults).toEqual([]);
});

describe('a rule is there for a reason', () => {
  test.each(Object.entries(differenceRules))('%s', async (_name, rule) => {
    const comparison = await compare(new ReferenceServer(), rule.example);
    expect(isSame(comparison)).toBe(false);
    expect(rules.filter((other) => isExplainedBy(other, comparison))).toEqual([rule]);
    expect(rule.reason).not.toBe('');
    expect([rule.ours, rule.theirs].filter(Boolean)).toHaveLength(1);
  });
});

describe('a difference without a rule is found', () => {
  test.each(Object.entries(differenceRules))('when the rule "%s" is taken away', async (_name, rule) => {
    const comparison = await compare(new ReferenceServer(), rule.example);
    const others = rules.filter((other) => other !== rule);
    expect(faultOf(comparison, others)).toBe(comparison);
  });

  test('when both take the message and read another body', () => {
    const read = { isAccepted: true, method: 'GET', target: '/', body: 'a' } as const;
    const comparison = { text: rules[0]?.example ?? '', ours: read, theirs: { ...read, body: 'b' } };
    expect(isSame(comparison)).toBe(false);
    expect(faultOf(comparison, rules)).toBe(comparison);
  });
});

test.each([
  ['a request without a body', 'GET /a HTTP/1.1\r\nHost: a\r\n\r\n', '/a', ''],
  ['a body of a length', 'GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab', '/a', 'ab'],
  ['an error behind the first message', 'GET /a HTTP/1.1\r\nHost: a\r\n\r\n\0', '/a', ''],
])('the reference reads the first message: %s', async (_what, text, target, body) => {
  expect(await new ReferenceServer().read(bytesOf(text))).toEqual({
    isAccepted: true,
    method: 'GET',
    target,
    body,
  });
});

test.each([
  ['no Host', 'GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n', 'host'],
  ['an unknown expectation', 'GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n', 'expectation'],
  ['a body that does not come', 'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na', 'incomplete'],
  ['a fold', 'GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n', 'HPE_INVALID_HEADER_TOKEN'],
])('the reference refuses: %s', async (_what, text, code) => {
  expect(await new ReferenceServer().read(bytesOf(text))).toEqual({ isAccepted: false, code });
});
