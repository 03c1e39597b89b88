import { describe, expect, test } from 'vitest';

import {
  checkTe,
  connectionSpecificError,
  h2ContentLengthOf,
  h2FieldKind,
  kindOfH2Field,
  misplacedPseudoError,
  pseudoValue,
} from '../../src/h2/field-kind.ts';
import { hopByHopFields } from '../../src/rewrite.ts';
import { codeOf } from '../wire-text.ts';

const namesOf = {
  pseudo: [':', ':path', ':status', ':x'],
  connectionSpecific: ['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'],
  oneHop: ['http2-settings', 'proxy-authenticate', 'proxy-authentication-info', 'proxy-authorization'],
  te: ['te'],
  host: ['host'],
  expect: ['expect'],
  contentLength: ['content-length'],
  cookie: ['cookie'],
} satisfies Record<Exclude<keyof typeof h2FieldKind, 'other'>, string[]>;

const kinds = Object.entries(h2FieldKind)
  .filter(([kind]) => kind !== 'other')
  .map(([name, kind]) => ({ name, kind, names: new Map(Object.entries(namesOf)).get(name) ?? [] }));

describe.each(kinds)('fields of kind $name', ({ kind, names }) => {
  test.each(names)('%s', (name) => {
    expect(kindOfH2Field(name)).toBe(kind);
  });

  test.each(names)('a name as long as %s is another', (name) => {
    expect(kindOfH2Field('x'.repeat(name.length))).toBe(h2FieldKind.other);
  });
});

test('whatever never leaves its hop in HTTP/1 is known here too', () => {
  for (const name of hopByHopFields) expect(kindOfH2Field(name)).not.toBe(h2FieldKind.other);
});

test.each(['', 'trailer', 'accept', 'content-type', 'set-cookie'])('%j is just sent on', (name) => {
  expect(kindOfH2Field(name)).toBe(h2FieldKind.other);
});

test.each(['trailers', 'Trailers', 'TRAILERS'])('RFC 9113 §8.2.2 te may say %s', (value) => {
  expect(codeOf(() => checkTe(value))).toBe('accepted');
});

test.each(['', 'gzip', 'trailers, deflate', 'trailers;q=0.5', ' trailers'])(
  'RFC 9113 §8.2.2 te may not say %j',
  (value) => {
    expect(codeOf(() => checkTe(value))).toBe('invalid_te');
  },
);

test.each([
  ['digits', '5', -1, 5],
  ['a repeated equal one', '5', 5, 5],
  ['a list of equal ones', '5, 5', -1, 5],
])('RFC 9110 §8.6 content-length: %s', (_rule, value, known, length) => {
  expect(h2ContentLengthOf(value, known)).toBe(length);
});

test.each([
  ['no number', 'x', -1, 'invalid_content_length'],
  ['nothing', '', -1, 'invalid_content_length'],
  ['another length', '6', 5, 'conflicting_content_length'],
  ['a list of different ones', '5, 6', -1, 'conflicting_content_length'],
])('RFC 9113 §8.1.1 content-length: %s', (_rule, value, known, code) => {
  expect(codeOf(() => h2ContentLengthOf(value, known))).toBe(code);
});

test.each([
  ['the first time', '', 'x', 'accepted'],
  ['twice', 'x', 'x', 'repeated_pseudo_field'],
  ['empty', '', '', 'empty_pseudo_field'],
])('RFC 9113 §8.3 a pseudo field given %s', (_rule, known, value, code) => {
  expect(codeOf(() => pseudoValue(known, ':path', value))).toBe(code);
});

test('the errors name the field and what to do', () => {
  expect(connectionSpecificError('upgrade').message).toContain('"upgrade"');
  expect(misplacedPseudoError(':path').message).toContain('":path"');
});
