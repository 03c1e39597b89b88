import { type MitmConfigInput, parseConfig } from 'mitm-core';
import { expect, test } from 'vitest';

import { ClientCertificates } from '../../src/upstream/client-certificates.ts';

const listed = [
  { hosts: ['a.test', '*.b.test'], certPath: 'one.pem', keyPath: 'one.key' },
  { hosts: ['a.test', 'c.test:8443'], certPath: 'two.pem', keyPath: 'two.key', keyPassphrase: 'word' },
];
const forAll = { clientCertPath: 'all.pem', clientKeyPath: 'all.key' };

function certificates(upstream: MitmConfigInput['upstream']): ClientCertificates {
  const config = parseConfig({ interception: { destinations: ['*:*'] }, upstream });
  return new ClientCertificates(config.upstream, (path, field) => `${field}: ${path}`);
}

test.each([
  ['the first rule that names the origin', 'a.test', 443, 1],
  ['a pattern', 'x.b.test', 443, 1],
  ['a rule with this port', 'c.test', 8_443, 2],
  ['the one for all: another port', 'c.test', 443, 0],
  ['the one for all: no rule', 'd.test', 443, 0],
])('%s', (_rule, host, port, index) => {
  const made = certificates({ clientAuthMode: 'if_requested', clientCertificates: listed, ...forAll });
  expect(made.indexFor({ host, port })).toBe(index);
});

test('each is read from its files, which an error can name', () => {
  const { shown } = certificates({ clientAuthMode: 'required', clientCertificates: listed, ...forAll });
  expect(shown).toEqual([
    { certPem: 'upstream.clientCertPath: all.pem', keyPem: 'upstream.clientKeyPath: all.key' },
    {
      certPem: 'upstream.clientCertificates[0].certPath: one.pem',
      keyPem: 'upstream.clientCertificates[0].keyPath: one.key',
      passphrase: undefined,
    },
    {
      certPem: 'upstream.clientCertificates[1].certPath: two.pem',
      keyPem: 'upstream.clientCertificates[1].keyPath: two.key',
      passphrase: 'word',
    },
  ]);
});

test('without one for all, an origin that no rule names is shown none', () => {
  const made = certificates({ clientAuthMode: 'if_requested', clientCertificates: listed });
  expect(made.shown[made.indexFor({ host: 'd.test', port: 443 })]).toBeUndefined();
});

test('mode never shows none', () => {
  expect(certificates({}).shown).toEqual([undefined]);
});
