// The list of fields: complete, in words, and true to what parsing does.
import { describe, expect, test } from 'vitest';

import { configFields, keysAt, restartPaths } from '../../src/config/fields.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { minimal } from './problems.ts';

const fields = configFields();

test('paths are unique', () => {
  expect(new Set(fields.map(({ path }) => path)).size).toBe(fields.length);
});

test.each(fields)('$path is described in whole sentences and has a type', ({ description, type }) => {
  expect(description).toMatch(/^[A-Z`].*\.$/su);
  expect(type).not.toContain('undefined');
  expect(type).not.toBe('anything');
});

test('everything that parsing produces is in the list', () => {
  const paths = new Set(fields.map(({ path }) => path));
  const config = parseConfig(minimal);
  for (const [name, value] of Object.entries(config)) {
    expect(paths).toContain(name);
    if (name === 'bind' || Array.isArray(value) || typeof value !== 'object') continue;
    for (const key of Object.keys(value)) expect(paths).toContain(`${name}.${key}`);
  }
});

describe('one field as a fact', () => {
  test.each([
    ['bind', { type: 'text | object', default: '127.0.0.1:8080', required: false, reload: false }],
    ['tls.caCertPath', { type: 'text', default: './certs/soth-mitm-ca.pem', required: false, reload: false }],
    ['unixSocketPath', { type: 'text', default: undefined, required: false, reload: false }],
    ['interception', { type: 'object', default: undefined, required: true, reload: true }],
    ['interception.destinations', { type: 'list of text', required: true, reload: true }],
    ['altSvc', { type: '"keep" | "strip"', default: 'strip', reload: true }],
    ['handler', { type: 'object', default: undefined, required: false }],
    ['handler.recoverFromPanics', { type: 'boolean', default: true }],
    ['timeouts.headMs', { type: 'integer 1–2147483647', default: 30_000 }],
    ['body.maxDecoderBytes', { default: 4_194_304 }],
    ['flowRuntime.dispatchCloseJoinTimeoutMs', { default: 10_000 }],
    ['compatibilityOverrides', { type: 'list of object', default: [] }],
    ['compatibilityOverrides[].ruleId', { type: 'text', default: undefined, required: true }],
    ['eventLog.path', { required: true }],
    ['eventLog.hmacKeyPath', { required: false, reload: true }],
    ['listeners[].bind', { required: false, reload: false }],
    ['admin.bind', { type: 'text | object', required: false, reload: true }],
  ])('%s', (path, facts) => {
    expect(fields.find((field) => field.path === path)).toMatchObject(facts);
  });
});

test('what needs a restart are the listeners, the files of the authority and where secrets are logged', () => {
  const fixed = fields.filter(({ reload }) => !reload).map(({ path }) => path);
  expect(fixed.filter((path) => !path.includes('[].'))).toEqual(restartPaths);
  // What is in a list changes with the list.
  const inLists = fixed.filter((path) => path.includes('[].'));
  expect(inLists).toEqual(fields.map(({ path }) => path).filter((path) => path.startsWith('listeners[].')));
});

test.each([
  ['the configuration', [], 'routeMode'],
  ['a section', ['upstream'], 'trust'],
  ['an item of a list', ['compatibilityOverrides', 3], 'hostPattern'],
])('the keys of %s are known', (_place, path, key) => {
  expect(keysAt(path)).toContain(key);
});

test('what is no object has no keys', () => {
  expect(keysAt(['routeMode', 'x'])).toEqual([]);
});
