// The HTTP versions and the size of heads.
import { expect, test } from 'vitest';

import { altSvcModes } from '../../src/config/http.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { minimal, problemsWith } from './problems.ts';

test.each(altSvcModes)('altSvc may be %s', (altSvc) => {
  expect(parseConfig({ ...minimal, altSvc })).toMatchObject({ altSvc });
});

test.each([
  [
    'CF-09 header lists have room',
    { http2MaxHeaderListSize: 0 },
    'http2MaxHeaderListSize: must be a whole number of bytes',
  ],
  ['CF-09 heads have room', { maxHttpHeadBytes: 0 }, 'maxHttpHeadBytes: must be a whole number of bytes'],
  ['heads are held in memory and end at 16 MiB', { maxHttpHeadBytes: 2 ** 24 + 1 }, 'from 1 to 16777216'],
  ['switches are true or false', { http2Enabled: 'yes' }, 'http2Enabled: must be true or false'],
  ['altSvc is known', { altSvc: 'drop' }, 'altSvc: must be one of keep, strip'],
])('%s', (_rule, fields, problem) => {
  expect(problemsWith(fields)).toContainEqual(expect.stringContaining(problem));
});
