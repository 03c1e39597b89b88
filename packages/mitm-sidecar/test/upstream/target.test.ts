// Two exchanges share a connection exactly when nothing that matters differs.
import type { MitmConfigInput, Route } from 'mitm-core';
import { MitmError, parseConfig, planRoute } from 'mitm-core';
import { generateCa } from 'mitm-tls';
import { describe, expect, test } from 'vitest';

import { createLabAuthority } from '../../../../testing/lab/certificates.ts';
import { startRawOrigin } from '../../../../testing/lab/origins.ts';
import { temporaryDirectory } from '../../../../testing/lab/temporary.ts';
import { connectTlsOver } from '../../src/handshake/connect-tls.ts';
import { dial } from '../../src/upstream/dial.ts';
import { overHttp1, type TargetOptions, UpstreamTargets } from '../../src/upstream/target.ts';

const ca = await generateCa();

function targets(given: Partial<MitmConfigInput> = {}, excluded: readonly string[] = []): UpstreamTargets {
  return new UpstreamTargets(
    parseConfig({
      interception: { destinations: ['*:*'] },
      ...given,
      upstream: { trust: 'bundled', ...given.upstream },
    }),
    excluded,
  );
}

function routeTo(host: string, port = 443, given: Partial<MitmConfigInput> = {}): Route {
  return planRoute(parseConfig({ interception: { destinations: ['*:*'] }, ...given }), { host, port });
}

const reverse = { routeMode: 'reverse', reverseUpstream: { host: '10.0.0.1', port: 443 } } as const;
const plain: TargetOptions = {
  route: routeTo('example.org'),
  isTls: true,
  skipVerify: false,
  alpn: ['http/1.1'],
};

describe('the key', () => {
  test('is the same for the same settings, also when the client names the target itself', () => {
    const made = targets();
    const { key } = made.of(plain);
    expect(made.of({ ...plain }).key).toBe(key);
    expect(made.of({ ...plain, sni: 'example.org' }).key).toBe(key);
    expect(targets().of(plain).key).toBe(key);
  });

  test.each<[string, Partial<TargetOptions>]>([
    ['the target', { route: routeTo('example.com') }],
    ['the port', { route: routeTo('example.org', 8_443) }],
    ['the way', { route: routeTo('example.org', 443, reverse) }],
    ['the next hop', { route: { ...plain.route, nextHop: { host: '10.0.0.9', port: 443 } } }],
    ['TLS', { isTls: false }],
    ['the server name', { sni: 'www.example.org' }],
    ['verification', { skipVerify: true }],
    ['what is offered', { alpn: ['h2', 'http/1.1'] }],
    ['that nothing is offered', { alpn: [] }],
  ])('differs by %s', (_what, difference) => {
    const made = targets();
    expect(made.of({ ...plain, ...difference }).key).not.toBe(made.of(plain).key);
  });

  test('differs by every setting that verification or the handshake depends on', async () => {
    await using authority = await createLabAuthority();
    await using other = await createLabAuthority();
    await using folder = await temporaryDirectory();
    const { certPem, keyPem } = await authority.issue(['client.example']);
    const clientCertPath = await folder.write('client.pem', certPem);
    const clientKeyPath = await folder.write('client.key', keyPem);
    const path = await folder.write('ca.pem', authority.caPem);
    const made = [
      targets(),
      targets({ upstream: { verifyUpstreamTls: false } }),
      targets({ upstream: { caPaths: [path] } }),
      targets({ upstream: { trust: 'system' } }),
      targets({ upstream: { tlsProfile: 'compat' } }),
      targets({ upstream: { sniMode: 'disabled' } }),
      targets({ upstream: { clientAuthMode: 'if_requested', clientCertPath, clientKeyPath } }),
      targets({ tls: { minVersion: 'tls1.3' } }),
      targets({}, [ca.fingerprint]),
    ];
    // The path is the same, the authority is not.
    await folder.write('ca.pem', other.caPem);
    made.push(targets({ upstream: { caPaths: [path] } }));
    const keys = made.map((each) => each.of(plain).key);
    expect(new Set(keys).size).toBe(made.length);
  });
});

describe('a target', () => {
  test('of plain HTTP has no TLS', () => {
    expect(targets().of({ ...plain, isTls: false }).tls).toBeUndefined();
  });

  test.each([
    ['a name', 'example.org', undefined, 'example.org', 'example.org'],
    [
      'a name that the client asks for otherwise',
      'example.org',
      'www.example.org',
      'www.example.org',
      'www.example.org',
    ],
    ['an IPv4 address', '192.0.2.1', undefined, '', '192.0.2.1'],
    ['an IPv6 address', '2001:db8::1', undefined, '', '2001:db8::1'],
    ['an address with a name from the client', '192.0.2.1', 'example.org', 'example.org', 'example.org'],
  ])('with %s', (_what, host, sni, servername, verifyHost) => {
    const target = targets().of({ ...plain, route: routeTo(host), sni });
    expect(target.tls).toMatchObject({ servername, verifyHost, isVerified: true, alpn: ['http/1.1'] });
  });

  test('that may speak HTTP/2 has a twin that does not, with connections of its own', () => {
    const target = targets().of({ ...plain, alpn: ['h2', 'http/1.1'] });
    const twin = overHttp1(target);
    expect(twin).toMatchObject({
      http2: 'never',
      place: target.place,
      tls: { alpn: ['http/1.1'], isVerified: true },
    });
    expect(twin.key).not.toBe(target.key);
    expect(overHttp1(twin)).toBe(twin);
    const known = targets().of({ ...plain, isTls: false, hasPriorKnowledge: true });
    expect(overHttp1(known)).toBe(known);
  });

  test('behind a fixed next hop is verified as itself', () => {
    const { tls, route } = targets(reverse).of({ ...plain, route: routeTo('example.org', 443, reverse) });
    expect(route.nextHop.host).toBe('10.0.0.1');
    expect(tls?.verifyHost).toBe('example.org');
  });

  test('keeps one context for all, made at the first use', () => {
    const made = targets();
    made.warm();
    const [first, second] = [made.of(plain), made.of({ ...plain, skipVerify: true })];
    expect(first.tls?.context()).toBe(second.tls?.context());
  });

  test.each([
    [true, true, false],
    [true, false, true],
    [false, false, false],
    [false, true, false],
  ])(
    'with verification %s and an override %s is verified: %s',
    (verifyUpstreamTls, skipVerify, isVerified) => {
      const target = targets({ upstream: { verifyUpstreamTls } }).of({ ...plain, skipVerify });
      expect(target.tls?.isVerified).toBe(isVerified);
    },
  );
});

test('our own authority is never trusted, even if it is among the files', async () => {
  await using authority = await createLabAuthority();
  await using origin = await startRawOrigin({ tls: { authority } });
  const { X509Certificate } = await import('node:crypto');
  const { fingerprint256 } = new X509Certificate(authority.caPem);
  const upstream = { caPaths: [await authority.caFile()] };
  const outcome = async (excluded: readonly string[]): Promise<string> => {
    const route = routeTo('localhost', origin.port);
    const { tls } = targets({ upstream }, excluded).of({ ...plain, route });
    if (tls === undefined) throw new Error('no TLS');
    const socket = await dial(route, { timeoutMs: 5_000 });
    try {
      const { wire } = await connectTlsOver(socket, tls, {
        connectTimeoutMs: 5_000,
        handshakeTimeoutMs: 5_000,
      });
      wire.destroy();
      return 'trusted';
    } catch {
      return 'refused';
    }
  };
  expect(await outcome([])).toBe('trusted');
  expect(await outcome([fingerprint256])).toBe('refused');
});

describe('a file that cannot be read is named with its field', () => {
  const missing = '/nowhere/missing.pem';
  test.each<[string, MitmConfigInput['upstream']]>([
    ['upstream.caPaths', { caPaths: [missing] }],
    [
      'upstream.clientCertPath',
      { clientAuthMode: 'required', clientCertPath: missing, clientKeyPath: '/nowhere/key.pem' },
    ],
  ])('%s', (field, upstream) => {
    const make = (): UpstreamTargets => targets({ upstream });
    expect(make).toThrow(MitmError);
    expect(make).toThrow(`${field}: cannot read ${missing}: ENOENT`);
  });
});
