import { describe, expect, test } from 'vitest';

import { errorCode, errorText, Failure, failureSides } from '../src/failure.ts';

function coded(message: string, fields: object): Error {
  return Object.assign(new Error(message), fields);
}

describe('Failure', () => {
  test('knows how the flow closes, whose side it was, and what the client is answered', () => {
    const cause = new Error('refused');
    const reply = { status: 502, body: 'no\n' };
    const failure = new Failure('upstream_connect_failed', { side: 'upstream', detail: 'why', reply, cause });
    expect(failure).toBeInstanceOf(Error);
    expect(failure).toMatchObject({
      name: 'Failure',
      message: 'why',
      reason: 'upstream_connect_failed',
      side: 'upstream',
      detail: 'why',
      reply,
      cause,
    });
    expect(failure.isUnexpected).toBe(false);
  });

  test('without a detail its message is the reason, and nothing is answered', () => {
    const failure = new Failure('client_aborted', { side: 'client' });
    expect(failure.message).toBe('client_aborted');
    expect([failure.detail, failure.reply, failure.cause]).toEqual([undefined, undefined, undefined]);
    expect('cause' in failure).toBe(false);
  });

  test.each(failureSides)('a fault of side %s with a reason of its own is expected', (side) => {
    expect(new Failure('mitm_http_error', { side }).isUnexpected).toBe(false);
  });
});

describe('Failure.from', () => {
  test('leaves a Failure as it is', () => {
    const failure = new Failure('blocked', { side: 'internal' });
    expect(Failure.from(failure)).toBe(failure);
  });

  test.each<[string, unknown, string]>([
    ['an error', new Error('boom'), 'internal error: boom'],
    ['text', 'boom', 'internal error: boom'],
    ['nothing', null, 'internal error: null'],
    ['an object that has no text', Object.create(null), 'internal error: [Object: null prototype] {}'],
  ])(
    'makes an unexpected internal fault of %s, with an answer that tells nothing',
    (_what, thrown, detail) => {
      const failure = Failure.from(thrown);
      expect(failure).toMatchObject({ reason: 'mitm_http_error', side: 'internal', detail, cause: thrown });
      expect(failure.isUnexpected).toBe(true);
      expect(failure.reply).toEqual({ status: 502, body: 'the proxy could not serve this request\n' });
    },
  );
});

describe('errorText', () => {
  test.each<[string, unknown, string]>([
    ['the message', new Error('boom'), 'boom'],
    ['the code before the message', coded('no route', { code: 'EHOSTUNREACH' }), 'EHOSTUNREACH: no route'],
    [
      'a code that the message has already stands once',
      coded('connect ECONNREFUSED 127.0.0.1:1', { code: 'ECONNREFUSED' }),
      'connect ECONNREFUSED 127.0.0.1:1',
    ],
    ['one line', new Error(' two\n  lines\t'), 'two lines'],
    [
      'of OpenSSL the reason and the alert',
      coded('C0F1:error:0A000418:SSL routines:read:tlsv1 alert unknown ca:rec.c:917:SSL alert number 48', {
        code: 'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA',
        reason: 'tlsv1 alert unknown ca',
      }),
      'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: tlsv1 alert unknown ca (SSL alert number 48)',
    ],
    [
      'of OpenSSL without an alert the reason',
      coded('C0F1:error:0A00010B:SSL routines::wrong version number:rec.c:1', {
        reason: 'wrong version number',
      }),
      'wrong version number',
    ],
    ['a reason that is not OpenSSL’s changes nothing', coded('boom', { reason: 'other' }), 'boom'],
    ['thrown text', 'two\nlines', 'two lines'],
    ['a thrown object', { status: 3 }, '{ status: 3 }'],
    ['nothing thrown', undefined, 'undefined'],
  ])('%s', (_rule, error, text) => {
    expect(errorText(error)).toBe(text);
  });
});

test.each<[string, unknown, string | undefined]>([
  ['a code', coded('x', { code: 'EPIPE' }), 'EPIPE'],
  ['a code that is no text', coded('x', { code: 7 }), undefined],
  ['no code', new Error('x'), undefined],
  ['no error', { code: 'EPIPE' }, undefined],
])('errorCode of an error with %s', (_what, error, code) => {
  expect(errorCode(error)).toBe(code);
});
