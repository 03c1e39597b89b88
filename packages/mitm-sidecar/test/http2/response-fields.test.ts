// What a client of HTTP/2 gets is what the origin said; a list of HTTP/2 that nothing changes is not even copied.
import { describe, expect, test } from 'vitest';

import {
  interimFields,
  responseFields,
  sensitiveNames,
  withoutQuic,
} from '../../src/http2/response-fields.ts';
import { h2ResponseOf, responseOf } from '../messages.ts';

const secret: ReadonlySet<string> = new Set(['set-cookie']);

describe('a final head', () => {
  test('of HTTP/2 gives the very list it came in', () => {
    const head = h2ResponseOf(200, ['server', 's']);
    expect(responseFields(head, {})).toBe(head.fields);
  });

  test('of HTTP/2 is signed in a list of its own', () => {
    const head = h2ResponseOf(200, ['server', 's']);
    expect(responseFields(head, { via: '2 us' })).toEqual([':status', '200', 'server', 's', 'via', '2 us']);
    expect(head.fields).toEqual([':status', '200', 'server', 's']);
  });

  test('of HTTP/1 is said in HTTP/2, without its phrase and its hop', () => {
    const head = responseOf(
      'HTTP/1.1 404 Gone Fishing',
      'Content-Length: 3',
      'Connection: x',
      'X: y',
      'Server: s',
    );
    const expected = [':status', '404', 'content-length', '3', 'server', 's'];
    expect(responseFields(head, {})).toEqual(expected);
    expect(responseFields(head, { via: '1.1 us' })).toEqual([...expected, 'via', '1.1 us']);
  });
});

describe('alternatives over QUIC', () => {
  const offers = 'h3=":443", h2="alt.test:443"';
  const rows: readonly [string, string, boolean | undefined, readonly string[]][] = [
    ['stay unless said', offers, undefined, ['alt-svc', offers]],
    ['are taken out, and no others', offers, true, ['alt-svc', 'h2="alt.test:443"']],
    ['take the field with them where there are no others', 'h3=":443"', true, []],
    ['are not in this one', 'h2=":443"', true, ['alt-svc', 'h2=":443"']],
  ];
  test.each(rows)('%s', (_rule, value, dropsQuic, expected) => {
    const said = [':status', '200', 'server', 's', ...expected];
    expect(responseFields(h2ResponseOf(200, ['server', 's', 'alt-svc', value]), { dropsQuic })).toEqual(said);
    expect(
      responseFields(responseOf('HTTP/1.1 200 OK', 'Server: s', `Alt-Svc: ${value}`), { dropsQuic }),
    ).toEqual(said);
  });

  test('leave a head with its secrets, and one without them as it was', () => {
    const plain = h2ResponseOf(200, ['server', 's']);
    expect(withoutQuic(plain, true)).toBe(plain);
    const head = h2ResponseOf(200, ['set-cookie', 'a', 'alt-svc', 'h3=":443"'], secret);
    expect(withoutQuic(head, false)).toBe(head);
    expect(withoutQuic(head, true)).toMatchObject({
      status: 200,
      fields: [':status', '200', 'set-cookie', 'a'],
      sensitiveNames: secret,
    });
  });
});

test('a 1xx of either version goes on', () => {
  const early = [':status', '103', 'link', '</a>'];
  expect(interimFields(h2ResponseOf(103, ['link', '</a>']))).toEqual(early);
  expect(interimFields(responseOf('HTTP/1.1 103 Early Hints', 'Link: </a>'))).toEqual(early);
});

test('only HTTP/2 can say what no table may hold', () => {
  expect(sensitiveNames(h2ResponseOf(200, ['set-cookie', 'a'], secret))).toBe(secret);
  expect(sensitiveNames(h2ResponseOf(200))).toBeUndefined();
  expect(sensitiveNames(responseOf('HTTP/1.1 200 OK', 'Set-Cookie: a'))).toBeUndefined();
});
