import { createSecureContext } from 'node:tls';

import { describe, expect, test } from 'vitest';

import { parseClientHello } from '../src/client-hello-body.ts';
import { ClientHelloReader } from '../src/client-hello.ts';
import { ja4 } from '../src/fingerprint.ts';
import { helloDifferences, helloOptions } from '../src/hello-preset.ts';
import { fingerprintClasses, profileOptions, tlsProfiles } from '../src/profile.ts';
import { helloOfNode } from './hellos.ts';

async function helloOf(
  fingerprintClass: (typeof fingerprintClasses)[number],
  profile: (typeof tlsProfiles)[number] = 'default',
): Promise<ReturnType<typeof parseClientHello>> {
  const secureContext = createSecureContext({
    ...profileOptions(profile, 'tls1.2'),
    ...helloOptions(fingerprintClass, profile),
  });
  const bytes = await helloOfNode({
    secureContext,
    servername: 'example.org',
    ALPNProtocols: ['h2', 'http/1.1'],
  });
  const hello = new ClientHelloReader().push(bytes);
  if (hello === undefined) throw new Error('the hello is not whole');
  return hello;
}

/** TLS_EMPTY_RENEGOTIATION_INFO_SCSV (RFC 5746 §3.3). */
const renegotiation = 0x00ff;
const isGrease = (value: number): boolean => (value & 0x0f0f) === 0x0a0a;

describe('the hello of a class has the cipher suites of its browser', () => {
  // The middle part of a JA4 is a hash of the cipher suites; these are what real browsers send.
  test.each([
    ['chrome_like', 'Chromium 156', '8daaf6152771'],
    ['firefox_like', 'Firefox ESR', '86a278354501'],
  ] as const)('%s: those of %s', async (fingerprintClass, _browser, hash) => {
    const hello = await helloOf(fingerprintClass);
    const asBrowser = {
      ...hello,
      cipherSuites: hello.cipherSuites.filter((suite) => suite !== renegotiation),
    };
    expect(ja4(asBrowser).split('_')[1]).toBe(hash);
    // Where OpenSSL adds this one, it is said.
    const isSaid = helloDifferences[fingerprintClass].includes('renegotiation_suite');
    expect(hello.cipherSuites.includes(renegotiation)).toBe(isSaid);
  });

  test.each(['chrome_like', 'firefox_like'] as const)('%s: its order, too', async (fingerprintClass) => {
    const third = fingerprintClass === 'chrome_like' ? [0x1301, 0x1302, 0x1303] : [0x1301, 0x1303, 0x1302];
    expect((await helloOf(fingerprintClass)).cipherSuites.slice(0, 3)).toEqual(third);
  });

  test('and its groups, the post-quantum one first where OpenSSL has it', async () => {
    const { groups } = await helloOf('chrome_like');
    const classical = [29, 23, 24];
    expect([[0x11ec, ...classical], classical]).toContainEqual([...groups]);
  });

  test('and its signature algorithms', async () => {
    const { signatureAlgorithms } = await helloOf('chrome_like');
    expect(signatureAlgorithms).toEqual([0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601]);
  });
});

test('native adds nothing', () => {
  expect(helloOptions('native', 'default')).toEqual({});
});

test.each(fingerprintClasses)(
  'FP-07 a strict profile stays TLS 1.3 with class %s',
  async (fingerprintClass) => {
    const hello = await helloOf(fingerprintClass, 'strict');
    expect(hello.supportedVersions).toEqual([0x0304]);
    expect(hello.cipherSuites.filter((suite) => suite >> 8 !== 0x13 && suite !== renegotiation)).toEqual([]);
  },
);

test.each(tlsProfiles)('every class can be combined with profile %s', async (profile) => {
  for (const fingerprintClass of fingerprintClasses) {
    expect((await helloOf(fingerprintClass, profile)).sni).toBe('example.org');
  }
});

test('what stays different is said, and is true', async () => {
  const hello = await helloOf('chrome_like');
  expect(helloDifferences.chrome_like).toContain('grease');
  expect([...hello.cipherSuites, ...hello.extensions, ...hello.groups].some(isGrease)).toBe(false);
  const unknownToOpenSsl = {
    signed_certificate_timestamp: 18,
    compress_certificate: 27,
    application_settings: 17_613,
  };
  for (const [name, type] of Object.entries(unknownToOpenSsl)) {
    expect(helloDifferences.chrome_like).toContain(name);
    expect(hello.extensions).not.toContain(type);
  }
  expect(helloDifferences.chrome_like).toContain('encrypted_client_hello');
  expect(hello.hasEch).toBe(false);
});
