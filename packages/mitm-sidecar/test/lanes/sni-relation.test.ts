import { expect, test } from 'vitest';

import { sniRelation } from '../../src/lanes/sni-relation.ts';

test.each([
  ['the name of the target', 'a.test', [0], 'a.test', 'match'],
  ['no name', undefined, [10], 'a.test', 'absent'],
  ['no name for an address', undefined, [], '192.0.2.1', 'absent'],
  ['a name that is none', undefined, [0], 'a.test', 'invalid'],
  ['a name for an IPv4 address', 'a.test', [0], '192.0.2.1', 'names_address'],
  ['a name for an IPv6 address', 'a.test', [0], '2001:db8::1', 'names_address'],
  ['another name', 'b.test', [0], 'a.test', 'mismatch'],
  ['a name below', 'www.a.test', [0], 'a.test', 'mismatch'],
])('%s', (_what, sni, extensions, host, relation) => {
  expect(sniRelation({ sni, extensions }, host)).toBe(relation);
});
