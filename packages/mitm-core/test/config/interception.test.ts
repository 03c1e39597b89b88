// What is intercepted: the lists must be said and each entry must be readable.
import { expect, test } from 'vitest';

import { authorityChecks, interceptModes, unknownProtocolActions } from '../../src/config/interception.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { minimal, problemsOf, problemsWith } from './problems.ts';

test('CF-03 one destination is enough', () => {
  expect(parseConfig(minimal).interception.destinations).toEqual(['api.example.org:443']);
});

test('CF-04 wildcard destinations are accepted', () => {
  const destinations = ['*.example.org:443', '*:*', '[2001:db8::1]:*'];
  expect(parseConfig({ interception: { destinations } }).interception.destinations).toEqual(destinations);
});

test('ignored and blocked hosts need no port', () => {
  const interception = {
    destinations: ['*:*'],
    ignoreHosts: ['a.test'],
    blockedHosts: ['*.b.test:25', '[::1]'],
  };
  expect(parseConfig({ interception }).interception).toMatchObject(interception);
});

test.each([
  ...interceptModes.map((interceptMode) => ({ interceptMode })),
  ...authorityChecks.map((authorityCheck) => ({ interception: { destinations: ['*:*'], authorityCheck } })),
  ...unknownProtocolActions.map((unknownProtocol) => ({
    interception: { destinations: ['*:*'], unknownProtocol },
  })),
])('CF-13 %j is accepted', (fields) => {
  expect(parseConfig({ ...minimal, ...fields })).toMatchObject(fields);
});

test.each([
  ['the section is needed', {}, 'interception: is required'],
  [
    'the list is needed',
    { interception: {} },
    'interception.destinations: must be a list of HOST:PORT entries',
  ],
  [
    'CF-01 the list is not empty',
    { interception: { destinations: [] } },
    'interception.destinations: must name at least one HOST:PORT to intercept; to intercept everything, list `*:*`',
  ],
  [
    'the list is a list',
    { interception: { destinations: '*:*' } },
    'interception.destinations: must be a list',
  ],
  [
    'CF-02 ports end at 65535',
    { interception: { destinations: ['*:*', 'a.test:65536'] } },
    'interception.destinations[1]: "a.test:65536"',
  ],
  [
    'CF-02 port 0 is none',
    { interception: { destinations: ['a.test:0'] } },
    'interception.destinations[0]: "a.test:0"',
  ],
  [
    'destinations need a port',
    { interception: { destinations: ['a.test'] } },
    'interception.destinations[0]: "a.test"',
  ],
  [
    'destinations are not blank',
    { interception: { destinations: [' '] } },
    'interception.destinations[0]: " "',
  ],
  [
    'destinations are texts',
    { interception: { destinations: [443] } },
    'interception.destinations[0]: must be a text',
  ],
  [
    'a glued star is refused',
    { interception: { destinations: ['*a.test:443'] } },
    'interception.destinations[0]: "*a.test:443"',
  ],
  [
    'ignored hosts are readable',
    { interception: { destinations: ['*:*'], ignoreHosts: [''] } },
    'interception.ignoreHosts[0]: ""',
  ],
  [
    'blocked hosts are readable',
    { interception: { destinations: ['*:*'], blockedHosts: ['a b'] } },
    'interception.blockedHosts[0]: "a b"',
  ],
])('%s', (_rule, input, problem) => {
  expect(problemsOf(input)).toEqual([expect.stringContaining(problem)]);
});

test.each([
  ['the mode is known', { interceptMode: 'block' }, 'interceptMode: must be one of monitor, enforce'],
  [
    'lookups have time',
    { processAttribution: { lookupTimeoutMs: 0 } },
    'processAttribution.lookupTimeoutMs: must be',
  ],
  [
    'CF-09 the cache has room',
    { processAttribution: { cacheCapacity: 0 } },
    'processAttribution.cacheCapacity: must be',
  ],
  [
    'CF-09 the cache remembers',
    { processAttribution: { cacheTtlMs: 0 } },
    'processAttribution.cacheTtlMs: must be',
  ],
])('%s', (_rule, fields, problem) => {
  expect(problemsWith(fields)).toEqual([expect.stringContaining(problem)]);
});
