// A hello like that of the client: what the optional package can make of it on this Node, and what is said where it can't.
import { createSecureContext, type SecureContext } from 'node:tls';

import { describe, expect, test } from 'vitest';

import { type ClientHello, ClientHelloReader } from '../src/client-hello.ts';
import { ja4 } from '../src/fingerprint.ts';
import { HelloMirror, HelloMirrorError, MirroredContexts, mirrorKey } from '../src/hello-mirror.ts';
import { UpstreamContexts } from '../src/upstream-context.ts';
import { mirrorMissing } from './hello-mirror-there.ts';
import { helloOfNode } from './hellos.ts';

function read(bytes: Buffer): ClientHello {
  const hello = new ClientHelloReader().push(bytes);
  if (hello === undefined) throw new Error('the hello is not whole');
  return hello;
}

const plain = (): SecureContext => createSecureContext();
const helloWith = async (secureContext: SecureContext): Promise<ClientHello> =>
  read(await helloOfNode({ secureContext, servername: 'example.test', ALPNProtocols: ['h2'] }));
/** A client that is unlike this Node in everything that it can choose. */
const otherClient = (): SecureContext =>
  createSecureContext({
    ciphers: 'TLS_CHACHA20_POLY1305_SHA256:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256',
    ecdhCurve: 'P-384:X25519',
    sigalgs: 'rsa_pss_rsae_sha384:ecdsa_secp256r1_sha256',
  });

describe.skipIf(mirrorMissing !== undefined)(
  `a mirrored hello${mirrorMissing ? ` (skipped: ${mirrorMissing})` : ''}`,
  () => {
    test('has the JA4 of the client, and its groups', async () => {
      const theirs = await helloWith(otherClient());
      const native = await helloWith(plain());
      const { context, differences } = HelloMirror.load().mirror(theirs, {}, plain);
      const ours = await helloWith(context);
      expect(ja4(ours)).toBe(ja4(theirs));
      expect(ja4(ours)).not.toBe(ja4(native));
      expect([ours.groups, differences]).toEqual([theirs.groups, []]);
    });

    test('says what it can not have', async () => {
      const theirs = await helloWith(plain());
      const strange = {
        ...theirs,
        cipherSuites: [...theirs.cipherSuites, 0xdead],
        extensions: [...theirs.extensions, 51_764],
        groups: [...theirs.groups, 0xdead],
        signatureAlgorithms: [...theirs.signatureAlgorithms, 0xdead],
        pointFormats: [1],
      };
      const { context, differences } = HelloMirror.load().mirror(strange, {}, plain);
      expect(differences.toSorted()).toEqual([
        'extension_11',
        'extension_51764',
        'group_57005',
        'signature_algorithm_57005',
        'suite_57005',
      ]);
      expect(ja4(await helloWith(context))).toBe(ja4(theirs));
    });

    test.each([
      ['TLSv1.2', [0x0303]],
      ['TLSv1.3', [0x0304]],
    ] as const)('of a client of %s alone offers that alone', async (version, versions) => {
      const theirs = await helloWith(createSecureContext({ minVersion: version, maxVersion: version }));
      const ours = await helloWith(HelloMirror.load().mirror(theirs, {}, plain).context);
      expect(ours.supportedVersions.length === 0 ? [ours.legacyVersion] : ours.supportedVersions).toEqual(
        versions,
      );
      expect(ja4(ours).split('_')[1]).toBe(ja4(theirs).split('_')[1]);
    });

    test('that OpenSSL can not send is not mirrored, and that is said', async () => {
      const theirs = { ...(await helloWith(plain())), signatureAlgorithms: [0xdead] };
      const own = plain();
      const mirrored = HelloMirror.load().mirror(theirs, {}, () => own);
      expect(mirrored).toEqual({ context: own, differences: ['not_mirrored'] });
    });

    test.each([
      ['tls1.3', 'default', [0x0304]],
      ['tls1.2', 'strict', [0x0304]],
      ['tls1.2', 'default', [0x0304, 0x0303]],
    ] as const)('of minimum %s and profile %s offers %j', async (minVersion, profile, versions) => {
      const mirror = HelloMirror.load();
      const contexts = new UpstreamContexts({
        trust: 'bundled',
        extraCaPems: [],
        profile,
        minVersion,
        mirror,
      });
      const mirrored = contexts.contextFor(await helloWith(otherClient()));
      if (mirrored === undefined) throw new Error('nothing was mirrored');
      expect((await helloWith(mirrored.context)).supportedVersions).toEqual(versions);
    });
  },
);

test('without a mirror, contexts have no hello but their own', async () => {
  const options = { trust: 'bundled', extraCaPems: [], profile: 'default', minVersion: 'tls1.2' } as const;
  expect(new UpstreamContexts(options).contextFor(await helloWith(plain()))).toBeUndefined();
});

const missing = (): never => {
  throw new Error('Cannot find module');
};

describe('a package that', () => {
  const old = { isSupported: () => false, impersonate: () => ({}) };
  test.each([
    ['is not there', missing, /is not installed: npm install it$/],
    ['is something else', () => ({ default: 1 }), /is something else$/],
    ['does not work here', () => old, /does not work with Node .+: it needs 24\.15 or newer$/],
  ])('%s is refused', (_what, load, message) => {
    expect(() => HelloMirror.load(load)).toThrow(HelloMirrorError);
    expect(() => HelloMirror.load(load)).toThrow(message);
  });
});

describe('mirrored contexts', () => {
  const made: ClientHello[] = [];
  const contexts = new MirroredContexts((hello) => {
    made.push(hello);
    return { context: plain(), differences: [] };
  });

  test('are made once for a kind of client, however it orders its extensions', async () => {
    const hello = await helloWith(plain());
    const permuted = { ...hello, extensions: hello.extensions.toReversed() };
    expect(mirrorKey(permuted)).toBe(mirrorKey(hello));
    expect(contexts.of(permuted)).toBe(contexts.of(hello));
    expect(made).toEqual([permuted]);
  });

  test('are apart for another kind', async () => {
    const hello = await helloWith(plain());
    for (const other of [{ groups: [23] }, { cipherSuites: [0x1301] }, { alpn: ['http/1.1'] }])
      expect(contexts.of({ ...hello, ...other })).not.toBe(contexts.of(hello));
  });

  test('are bounded: the one used longest ago is made anew', async () => {
    const hello = await helloWith(plain());
    const first = contexts.of(hello);
    for (let suite = 0; suite < 64; suite += 1) contexts.of({ ...hello, cipherSuites: [suite] });
    expect(contexts.of(hello)).not.toBe(first);
  });
});
