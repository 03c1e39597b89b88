import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { deflateOf, parseDeflateAgreement, parseExtensions } from '../../src/websocket/extension.ts';

const byDefault = {
  serverNoContextTakeover: false,
  clientNoContextTakeover: false,
  serverMaxWindowBits: 15,
  clientMaxWindowBits: 15,
};

describe('the list of extensions', () => {
  test.each([
    ['nothing', [], []],
    ['an empty field', [''], []],
    ['one', ['foo'], [['foo']]],
    ['several in one field', ['foo, bar'], [['foo'], ['bar']]],
    ['several fields', ['foo', 'bar'], [['foo'], ['bar']]],
    ['empty members', [' , foo ,, bar,'], [['foo'], ['bar']]],
    ['a parameter', ['foo; a=1'], [['foo', ['a', '1']]]],
    ['a parameter without value', ['foo;a'], [['foo', ['a', undefined]]]],
    ['a quoted value', ['foo; a="1b"'], [['foo', ['a', '1b']]]],
    [
      'spaces wherever they may be',
      ['foo ; \ta = 1 ; b , bar'],
      [['foo', ['a', '1'], ['b', undefined]], ['bar']],
    ],
    ['one name twice', ['foo; a, foo'], [['foo', ['a', undefined]], ['foo']]],
  ])('%s', (_what, values, wanted) => {
    const entries = parseExtensions(values)?.map(({ name, parameters }) => [name, ...parameters]);
    expect(entries).toEqual(wanted);
  });

  test.each([
    ['a value where a name is due', 'foo=1'],
    ['no name', '; a'],
    ['no parameter', 'foo;'],
    ['no value', 'foo; a='],
    ['two names', 'foo bar'],
    ['an open quote', 'foo; a="1'],
    ['a quoted value that is no token', 'foo; a="1 2"'],
    ['a character that is not for names', 'fo(o'],
  ])('%s is refused', (_what, value) => {
    expect(parseExtensions([value])).toBeUndefined();
  });

  test('garbage is read or refused', () => {
    const text = fc.string({ unit: fc.constantFrom('a', '=', ';', ',', '"', ' ', '\t', '('), maxLength: 60 });
    fc.assert(
      fc.property(text, (value) => {
        for (const { name } of parseExtensions([value]) ?? []) expect(name).toMatch(/^a+$/);
      }),
    );
  });
});

describe('what permessage-deflate was agreed on', () => {
  test.each([
    ['permessage-deflate', byDefault],
    ['permessage-deflate; server_no_context_takeover', { ...byDefault, serverNoContextTakeover: true }],
    ['permessage-deflate; client_no_context_takeover', { ...byDefault, clientNoContextTakeover: true }],
    ['permessage-deflate; server_max_window_bits=8', { ...byDefault, serverMaxWindowBits: 8 }],
    ['permessage-deflate; client_max_window_bits="10"', { ...byDefault, clientMaxWindowBits: 10 }],
    ['permessage-deflate; server_no_context_takeover=1', undefined],
    ['permessage-deflate; client_max_window_bits', undefined],
    ['permessage-deflate; server_max_window_bits=7', undefined],
    ['permessage-deflate; server_max_window_bits=16', undefined],
    ['permessage-deflate; server_max_window_bits=08', undefined],
    ['permessage-deflate; server_max_window_bits=8; server_max_window_bits=8', undefined],
    ['permessage-deflate; mux', undefined],
  ])('%s', (value, wanted) => {
    const [extension] = parseExtensions([value]) ?? [];
    expect(extension && parseDeflateAgreement(extension)).toEqual(wanted);
  });

  test('each direction has its own part of it', () => {
    const agreement = { ...byDefault, clientNoContextTakeover: true, serverMaxWindowBits: 9 };
    expect(deflateOf(agreement, 'client_to_server')).toEqual({ hasContextTakeover: false, windowBits: 15 });
    expect(deflateOf(agreement, 'server_to_client')).toEqual({ hasContextTakeover: true, windowBits: 9 });
  });
});
