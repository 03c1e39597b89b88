// The front door: the listen address in both its forms, the socket path, and the bounds of the first head.
import { connectParseModes } from 'mitm-http';
import { expect, test } from 'vitest';

import { parseConfig } from '../../src/config/parse.ts';
import { minimal, problemsWith } from './problems.ts';

test.each([
  ['text', '[::1]:0'],
  ['the parsed form', { host: '::1', port: 0 }],
  ['the parsed form with brackets', { host: '[::1]', port: 0 }],
])('bind is accepted as %s', (_form, bind) => {
  expect(parseConfig({ ...minimal, bind }).bind).toEqual({ host: '::1', port: 0 });
});

test.each(connectParseModes)('CF-13 connectParseMode may be %s', (connectParseMode) => {
  expect(parseConfig({ ...minimal, connectParseMode })).toMatchObject({ connectParseMode });
});

test.each([
  ['bind is HOST:PORT', { bind: 'localhost' }, 'bind: is not an address to listen on'],
  ['bind is no number', { bind: 8080 }, 'bind: must be a text HOST:PORT'],
  ['bind has no port above 65535', { bind: { host: 'a', port: 99_999 } }, 'bind: has no valid port'],
  ['bind has a whole port', { bind: { host: 'a', port: 1.5 } }, 'bind: is not an address'],
  ['the socket path is not blank', { unixSocketPath: ' ' }, 'unixSocketPath: must not be empty'],
  [
    'the parse mode is known',
    { connectParseMode: 'lax' },
    'connectParseMode: must be one of strict, lenient',
  ],
  [
    'CF-09 the first head has room',
    { maxConnectHeadBytes: 0 },
    'maxConnectHeadBytes: must be a whole number of bytes',
  ],
  [
    'CF-09 retries pause',
    { acceptRetryBackoffMs: 0 },
    'acceptRetryBackoffMs: must be a whole number of milliseconds',
  ],
])('%s', (_rule, fields, problem) => {
  expect(problemsWith(fields)).toEqual([expect.stringContaining(problem)]);
});

test('bind may be none where clients arrive elsewhere', () => {
  const unixSocketPath = '/run/soth.sock';
  expect(parseConfig({ ...minimal, bind: 'none', unixSocketPath }).bind).toBe('none');
  expect(parseConfig({ ...minimal, bind: 'none', listeners: [{ fd: 3 }] }).bind).toBe('none');
  expect(problemsWith({ bind: 'none' })).toEqual([
    'bind: must be an address, or unixSocketPath or listeners must say where clients arrive',
  ]);
});
