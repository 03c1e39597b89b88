// The laws of parsing: all problems at once, nothing but ConfigError, a frozen result, and an untouched input.
import fc from 'fast-check';
import { expect, test } from 'vitest';

import { configFields } from '../../src/config/fields.ts';
import { deepFreeze } from '../../src/config/freeze.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { minimal, problemsOf } from './problems.ts';

test('all problems are found at once, also across fields', () => {
  const problems = problemsOf({
    bind: 'nowhere',
    interception: { destinations: ['a.test', 'b.test:443', 'c.test:0'], passthroughUnlisted: 'no' },
    tls: { caCertPath: 'ca.pem', minVersion: 'ssl3' },
    upstream: { timeoutMs: 0, tlsProfile: 'strict', sniMode: 'disabled', retry: true },
    routeMode: 'reverse',
    body: { maxSizeBytes: 1, maxDecoderBytes: 2, bufferIdleMs: -1 },
    handler: null,
    max_http_head_bytes: 1,
  });
  expect(problems.map((problem) => problem.slice(0, problem.indexOf(': '))).toSorted()).toEqual([
    'bind',
    'body.bufferIdleMs',
    'body.maxDecoderBytes',
    'handler',
    'interception.destinations[0]',
    'interception.destinations[2]',
    'interception.passthroughUnlisted',
    'max_http_head_bytes',
    'reverseUpstream',
    'tls.caKeyPath',
    'tls.minVersion',
    'upstream.retry',
    'upstream.sniMode',
    'upstream.timeoutMs',
  ]);
});

test('the result is frozen at every depth and the input is left as it was', () => {
  const input = {
    interception: { destinations: ['a.test:443'] },
    compatibilityOverrides: [{ ruleId: 'r', hostPattern: 'a.test', disableH2: true }],
    upstream: { caPaths: ['a.pem'] },
  };
  const before = structuredClone(input);
  const config = parseConfig(input);
  expect(isFrozen(config)).toBe(true);
  expect(input).toEqual(before);
  const parts = [input, input.interception, input.interception.destinations, input.compatibilityOverrides];
  expect(parts.some(Object.isFrozen)).toBe(false);
  expect(config.interception.destinations).not.toBe(input.interception.destinations);
});

test('a frozen input is accepted', () => {
  expect(parseConfig(deepFreeze(structuredClone(minimal)))).toEqual(parseConfig(minimal));
});

test('two results share nothing that could be changed', () => {
  expect(parseConfig(minimal)).toEqual(parseConfig(minimal));
  expect(parseConfig(minimal)).not.toBe(parseConfig(minimal));
});

test('law: a result is valid input and gives the same result', () => {
  fc.assert(
    fc.property(validInput(), (input) => {
      const config = parseConfig(input);
      expect(parseConfig(config)).toEqual(config);
      expect(parseConfig(JSON.parse(JSON.stringify(config)))).toEqual(config);
    }),
  );
});

test('law: any JSON is a configuration or a ConfigError', () => {
  fc.assert(fc.property(fc.jsonValue(), (input) => problemsOf(input).length > 0));
});

test('law: any values in known fields give a configuration or a ConfigError', () => {
  const names = configFields().map(({ path }) => path.replaceAll('[]', '.0').split('.'));
  const field = fc.tuple(fc.constantFrom(...names), fc.jsonValue());
  fc.assert(
    fc.property(fc.array(field, { minLength: 1, maxLength: 6 }), (fields) => {
      const input = structuredClone<Record<string, unknown>>(minimal);
      for (const [path, value] of fields) place(input, path, value);
      const before = structuredClone(input);
      expect(Array.isArray(problemsOf(input))).toBe(true);
      expect(input).toEqual(before);
    }),
  );
});

function isFrozen(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return Object.isFrozen(value) && Object.values(value).every(isFrozen);
}

function validInput(): fc.Arbitrary<object> {
  const milliseconds = fc.integer({ min: 1, max: 2 ** 31 - 1 });
  return fc.record(
    {
      interception: fc.constant(minimal.interception),
      bind: fc.constantFrom('[::1]:0', 'Localhost:80', '0.0.0.0:65535'),
      tls: fc.constantFrom({}, { caCertPath: 'c', caKeyPath: 'k' }, { caRotateAfterSeconds: 60 }),
      handler: fc.record({ responseTimeoutMs: milliseconds }, { requiredKeys: [] }),
      body: fc.record({ maxSizeBytes: fc.integer({ min: 1, max: 2 ** 30 }) }),
      processAttribution: fc.record(
        { enabled: fc.boolean(), cacheTtlMs: milliseconds },
        { requiredKeys: [] },
      ),
      eventLog: fc.constant({ path: 'events.jsonl' }),
    },
    { requiredKeys: ['interception'] },
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function place(target: Record<string, unknown>, path: readonly string[], value: unknown): void {
  let parent = target;
  for (const key of path.slice(0, -1)) {
    const child = parent[key];
    if (isObject(child)) parent = child;
    else {
      const made: Record<string, unknown> = {};
      parent[key] = made;
      parent = made;
    }
  }
  const last = path.at(-1);
  if (last !== undefined) parent[last] = value;
}
