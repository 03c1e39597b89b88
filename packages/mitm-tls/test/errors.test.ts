import { expect, test } from 'vitest';

import { CaError, ClientHelloError, ServerNameError } from '../src/errors.ts';

test('a CaError carries code, file and cause', () => {
  const cause = new Error('EACCES');
  const error = new CaError('PERMISSION_DENIED', 'no', { path: '/ca.pem', cause });
  expect(error).toMatchObject({ name: 'CaError', code: 'PERMISSION_DENIED', path: '/ca.pem', cause });
  expect(error).toBeInstanceOf(Error);
});

test('a CaError without file and cause has neither', () => {
  const error = new CaError('IO', 'no');
  expect(error.path).toBeUndefined();
  expect('cause' in error).toBe(false);
});

test('the others carry their code', () => {
  expect(new ClientHelloError('not_tls', 'no')).toMatchObject({ name: 'ClientHelloError', code: 'not_tls' });
  expect(new ServerNameError('no_names', 'no')).toMatchObject({ name: 'ServerNameError', code: 'no_names' });
});
