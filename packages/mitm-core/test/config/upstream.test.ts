// The way to origins: times, and which TLS settings go together.
import { clientAuthModes, revocationModes, sniModes, tlsProfiles } from 'mitm-tls';
import { expect, test } from 'vitest';

import { parseConfig } from '../../src/config/parse.ts';
import { responseOverflowModes, trustSources } from '../../src/config/upstream.ts';
import { minimal, problemsWith } from './problems.ts';

const listed = { hosts: ['*.corp.test', 'a.test:8443'], certPath: 'c.pem', keyPath: 'k.pem' };
const clientCert = { clientCertPath: 'c.pem', clientKeyPath: 'k.pem' };

test.each([
  ...trustSources.map((trust) => ({ trust })),
  ...responseOverflowModes.map((h2ResponseOverflowMode) => ({ h2ResponseOverflowMode })),
  ...tlsProfiles.map((tlsProfile) => ({ tlsProfile })),
  ...sniModes.map((sniMode) => ({ sniMode })),
  ...clientAuthModes
    .filter((mode) => mode !== 'never')
    .map((clientAuthMode) => ({ clientAuthMode, ...clientCert })),
  ...revocationModes.map((revocationMode) => ({ revocationMode })),
  { clientAuthMode: 'if_requested' },
  { clientAuthMode: 'required', clientCertificates: [listed] },
  {
    clientAuthMode: 'if_requested',
    clientCertificates: [{ ...listed, keyPassphrase: 'word' }],
    ...clientCert,
  },
  { tlsProfile: 'strict', sniMode: 'required' },
  { fingerprintMode: 'compat_class', fingerprintClass: 'chrome_like' },
  { fingerprintMode: 'compat_class', fingerprintClass: 'firefox_like' },
  { fingerprintMode: 'mirror_client' },
  { caPaths: ['/etc/extra.pem'] },
  { retryDelayMs: 0 },
])('CF-13 %j is accepted', (upstream) => {
  expect(parseConfig({ ...minimal, upstream }).upstream).toMatchObject(upstream);
});

test.each([
  ['an answer may take time', { timeoutMs: 0 }, 'timeoutMs: must be a whole number of milliseconds'],
  ['connecting may take time', { connectTimeoutMs: 0 }, 'connectTimeoutMs: must be'],
  ['CF-10 an HTTP/2 head may take time', { h2HeaderStageTimeoutMs: 0 }, 'h2HeaderStageTimeoutMs: must be'],
  ['CF-10 an HTTP/2 body may pause', { h2BodyIdleTimeoutMs: 0 }, 'h2BodyIdleTimeoutMs: must be'],
  ['retries do not go back in time', { retryDelayMs: -1 }, 'retryDelayMs: must be'],
  ['authorities are paths', { caPaths: ['a', ''] }, 'caPaths[1]: must not be empty'],
  ['trust is known', { trust: 'none' }, 'trust: must be one of bundled, system, both'],
  [
    'CF-18 the strict profile sends SNI',
    { tlsProfile: 'strict', sniMode: 'disabled' },
    'sniMode: must not be disabled',
  ],
  ['a class needs its mode', { fingerprintClass: 'chrome_like' }, 'fingerprintClass: must be native'],
  [
    'the mode needs a class',
    { fingerprintMode: 'compat_class' },
    'fingerprintClass: must be chrome_like or firefox_like',
  ],
  [
    'a client has no class',
    { fingerprintMode: 'mirror_client', fingerprintClass: 'chrome_like' },
    'fingerprintClass: must be native unless',
  ],
  [
    'a client is not mirrored with short keys',
    { fingerprintMode: 'mirror_client', tlsProfile: 'compat' },
    'fingerprintMode: must not be mirror_client',
  ],
  ['a required certificate is given', { clientAuthMode: 'required' }, 'clientCertPath: must be given'],
  [
    'a listed certificate is used',
    { clientCertificates: [listed] },
    'clientAuthMode: must be if_requested or required',
  ],
  [
    'a listed certificate is for somebody',
    { clientAuthMode: 'required', clientCertificates: [{ ...listed, hosts: [] }] },
    'clientCertificates[0].hosts: must name at least one host',
  ],
  [
    'a host pattern can be read',
    { clientAuthMode: 'required', clientCertificates: [{ ...listed, hosts: ['*example.org'] }] },
    'clientCertificates[0].hosts[0]: ',
  ],
  ['a given certificate is used', clientCert, 'clientAuthMode: must be if_requested or required'],
  [
    'a certificate needs its key',
    { clientAuthMode: 'required', clientCertPath: 'c' },
    'clientKeyPath: must be given together',
  ],
  [
    'a key needs its certificate',
    { clientAuthMode: 'if_requested', clientKeyPath: 'k' },
    'clientCertPath: must be given together',
  ],
])('%s', (_rule, upstream, problem) => {
  expect(problemsWith({ upstream })).toEqual([expect.stringContaining(`upstream.${problem}`)]);
});
