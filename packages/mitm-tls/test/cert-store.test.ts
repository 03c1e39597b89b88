import { X509Certificate } from 'node:crypto';

import { beforeAll, describe, expect, test } from 'vitest';

import { loadCa } from '../src/ca-material.ts';
import { type CertificateAuthority, generateCa } from '../src/ca.ts';
import { CertStore } from '../src/cert-store.ts';
import { dayMs, makeMaterial } from './authorities.ts';
import { handshake, verdict } from './handshake.ts';

let ca: CertificateAuthority;

beforeAll(async () => {
  ca = await generateCa();
});

const trusting = (servername: string) => ({ ca: ca.certificatePem, servername });

describe('cache', () => {
  test('CA-03 the same names give the same context; hits, misses and leaves are counted', async () => {
    const store = await CertStore.create(ca);
    const first = await store.contextFor(['example.test']);
    const second = await store.contextFor(['example.test']);
    expect(first.status).toBe('miss');
    expect(second.status).toBe('hit');
    expect(second.context).toBe(first.context);
    expect(store.stats).toEqual({ hits: 1, misses: 1, issued: 1, evictions: 0, contexts: 1 });
    expect(store.ca).toBe(ca);
  });

  test('CA-16 another spelling of the names is the same entry', async () => {
    const store = await CertStore.create(ca);
    const { context } = await store.contextFor(['bücher.example', '::1']);
    const spelled = await store.contextFor(['XN--BCHER-KVA.example.', '[0:0::1]', 'bücher.example']);
    expect(spelled).toMatchObject({ status: 'hit', context });
    expect((await store.contextFor(['::1', 'bücher.example'])).status).toBe('miss');
  });

  test('the entry used longest ago makes room', async () => {
    const store = await CertStore.create(ca, { capacity: 2 });
    for (const name of ['a.test', 'b.test', 'a.test', 'c.test']) await store.contextFor([name]);
    expect((await store.contextFor(['a.test'])).status).toBe('hit');
    expect((await store.contextFor(['b.test'])).status).toBe('miss');
    expect(store.stats).toMatchObject({ evictions: 2, contexts: 2 });
  });

  test('CA-04 a store of no capacity never hits', async () => {
    const store = await CertStore.create(ca, { capacity: 0 });
    for (let count = 0; count < 3; count += 1)
      expect((await store.contextFor(['a.test'])).status).toBe('miss');
    expect(store.stats).toMatchObject({ hits: 0, issued: 3, contexts: 0 });
  });

  test('CA-17 a context is made anew after 24 hours, and not before', async () => {
    let now = Date.now();
    const store = await CertStore.create(ca, { now: () => now });
    const { leaf } = await store.contextFor(['a.test']);
    now += dayMs - 1;
    expect((await store.contextFor(['a.test'])).status).toBe('hit');
    now += 1;
    const renewed = await store.contextFor(['a.test']);
    expect(renewed.status).toBe('miss');
    expect(renewed.leaf.serial).not.toBe(leaf.serial);
    expect(store.stats).toMatchObject({ evictions: 0, contexts: 1 });
  });

  test('a context is given up well before its leaf expires', async () => {
    const { certPem, keyPem } = await makeMaterial({ notAfter: new Date(Date.now() + 3_600_000) });
    let now = Date.now();
    const store = await CertStore.create(loadCa(certPem, keyPem), { now: () => now });
    await store.contextFor(['a.test']);
    now += 1_801_000;
    expect((await store.contextFor(['a.test'])).status).toBe('miss');
  });

  test('of clients that come together one makes the leaf and the others wait for it', async () => {
    const store = await CertStore.create(ca);
    const together = await Promise.all(Array.from({ length: 20 }, () => store.contextFor(['a.test'])));
    expect(new Set(together.map(({ context }) => context)).size).toBe(1);
    expect(store.stats).toMatchObject({ hits: 0, misses: 20, issued: 1, contexts: 1 });
  });

  test('bad names are refused and leave nothing behind', async () => {
    const store = await CertStore.create(ca);
    await expect(store.contextFor([])).rejects.toThrow(expect.objectContaining({ code: 'no_names' }));
    await expect(store.contextFor(['a b'])).rejects.toThrow(/"a b" is no name/);
    expect(store.stats).toEqual({ hits: 0, misses: 0, issued: 0, evictions: 0, contexts: 0 });
  });

  test.each([
    [{ capacity: -1 }, /capacity is -1/],
    [{ capacity: 1.5 }, /capacity is 1.5/],
    [{ maxAgeMs: 0 }, /maxAgeMs is 0/],
    [{ ticketKeys: Buffer.alloc(32) }, /32 octets long: give 48/],
  ])('%o is refused', async (options, message) => {
    await expect(CertStore.create(ca, options)).rejects.toThrow(message);
  });
});

describe('another CA', () => {
  test('CA-06 signs from now on; what was made before is not shown again', async () => {
    const store = await CertStore.create(ca);
    await store.contextFor(['a.test']);
    const next = await generateCa({ commonName: 'Next' });
    store.use(next);
    const { status, leaf } = await store.contextFor(['a.test']);
    expect(status).toBe('miss');
    expect(new X509Certificate(leaf.certificatePem).issuer).toContain('CN=Next');
    expect(store.ca).toBe(next);
    expect(store.fingerprints).toEqual([ca.fingerprint, next.fingerprint]);
  });

  test('a leaf that was on its way when it came is not kept', async () => {
    const store = await CertStore.create(ca);
    const flight = store.contextFor(['a.test']);
    store.use(await generateCa());
    await flight;
    expect((await store.contextFor(['a.test'])).status).toBe('miss');
  });

  test('honours no ticket of the one before', async () => {
    const store = await CertStore.create(ca);
    const session = await sessionOf(store);
    store.use(ca);
    const { context } = await store.contextFor(['example.test']);
    const resuming = { ...trusting('example.test'), session, maxVersion: 'TLSv1.2' } as const;
    const { client, server } = await handshake(context, resuming);
    expect(client.isSessionReused()).toBe(false);
    client.destroy();
    server.destroy();
  });
});

describe('other settings', () => {
  test('a smaller cache gives up what was used longest ago', async () => {
    const store = await CertStore.create(ca);
    for (const name of ['a.test', 'b.test', 'c.test']) await store.contextFor([name]);
    store.configure({ capacity: 2 });
    expect(store.stats).toMatchObject({ evictions: 1, contexts: 2 });
    expect((await store.contextFor(['a.test'])).status).toBe('miss');
  });

  test('another version or key holds for hosts that were known before', async () => {
    const store = await CertStore.create(ca);
    await store.contextFor(['example.test']);
    store.configure({ minVersion: 'tls1.3', profile: 'compat' });
    const { context, leaf } = await store.contextFor(['example.test']);
    expect(new X509Certificate(leaf.certificatePem).publicKey.asymmetricKeyType).toBe('rsa');
    const old = { ...trusting('example.test'), maxVersion: 'TLSv1.2' } as const;
    expect(await verdict(context, old)).toMatchObject({ code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION' });
  });

  test('the same settings change nothing', async () => {
    const store = await CertStore.create(ca);
    const { context } = await store.contextFor(['example.test']);
    store.configure({});
    expect((await store.contextFor(['example.test'])).context).toBe(context);
  });

  test('settings out of range are refused and nothing has changed', async () => {
    const store = await CertStore.create(ca);
    expect(() => store.configure({ capacity: -1, profile: 'compat' })).toThrow(/capacity is -1/);
    const { leaf } = await store.contextFor(['example.test']);
    expect(new X509Certificate(leaf.certificatePem).publicKey.asymmetricKeyType).toBe('ec');
  });
});

test('an alarm rings once, when a context is asked for at its time', async () => {
  let now = 1_000;
  const rung: number[] = [];
  const { certPem, keyPem } = await makeMaterial();
  const store = await CertStore.create(loadCa(certPem, keyPem), { now: () => now });
  store.setAlarm(2_000, () => rung.push(now));
  for (now of [1_999, 2_000, 2_001]) await store.contextFor(['a.test']);
  expect(rung).toEqual([2_000]);
});

describe('the key of a leaf', () => {
  const modernHello = {
    supportedVersions: [0x0304],
    cipherSuites: [],
    groups: [],
    signatureAlgorithms: [0x0403],
  };
  const rsaHello = { ...modernHello, signatureAlgorithms: [0x0804] };

  test('is the one that the client can read, and each has its own context', async () => {
    const store = await CertStore.create(ca);
    const [modern, old] = [
      await store.contextFor(['a.test'], modernHello),
      await store.contextFor(['a.test'], rsaHello),
    ];
    const kinds = [modern, old].map(
      ({ leaf }) => new X509Certificate(leaf.certificatePem).publicKey.asymmetricKeyType,
    );
    expect(kinds).toEqual(['ec', 'rsa']);
    expect((await store.contextFor(['a.test'], rsaHello)).context).toBe(old.context);
  });

  test('RSA is made once for all hosts', async () => {
    const store = await CertStore.create(ca);
    const leaves = await Promise.all(
      ['a.test', 'b.test'].map(async (name) => (await store.contextFor([name], rsaHello)).leaf),
    );
    const keys = leaves.map(({ certificatePem }) =>
      new X509Certificate(certificatePem).publicKey.export({ type: 'spki', format: 'pem' }),
    );
    expect(keys[0]).toBe(keys[1]);
  });
});

describe('contexts', () => {
  test('the client gets TLS 1.3, AES-128-GCM and the leaf', async () => {
    const store = await CertStore.create(ca);
    const { context, leaf } = await store.contextFor(['example.test']);
    const { client, server } = await handshake(context, trusting('example.test'));
    expect(client.authorized).toBe(true);
    expect(client.getProtocol()).toBe('TLSv1.3');
    expect(client.getCipher().name).toBe('TLS_AES_128_GCM_SHA256');
    expect(client.getPeerX509Certificate()?.raw.equals(leaf.certificateDer)).toBe(true);
    client.destroy();
    server.destroy();
  });

  test.each([
    ['tls1.2', 'TLSv1.2', 'connects'],
    ['tls1.2', 'TLSv1.3', 'connects'],
    ['tls1.3', 'TLSv1.2', 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION'],
    ['tls1.3', 'TLSv1.3', 'connects'],
  ] as const)('TP-15 minimum %s against a client of at most %s: %s', async (minVersion, maxVersion, code) => {
    const store = await CertStore.create(ca, { minVersion });
    const { context } = await store.contextFor(['example.test']);
    const error = await verdict(context, { ...trusting('example.test'), maxVersion });
    expect(error === undefined ? 'connects' : codeOf(error)).toBe(code);
  });

  test('CA-05 the compat profile answers with an RSA-2048 leaf', async () => {
    const store = await CertStore.create(ca, { profile: 'compat' });
    const { context, leaf } = await store.contextFor(['example.test']);
    const { publicKey } = new X509Certificate(leaf.certificatePem);
    expect(publicKey.asymmetricKeyType).toBe('rsa');
    expect(publicKey.asymmetricKeyDetails?.modulusLength).toBe(2048);
    const oldClient = {
      ...trusting('example.test'),
      maxVersion: 'TLSv1.2',
      ciphers: 'AES128-GCM-SHA256',
    } as const;
    expect(await verdict(context, oldClient)).toBeUndefined();
  });

  test('a client cannot renegotiate', async () => {
    const store = await CertStore.create(ca);
    const { context } = await store.contextFor(['example.test']);
    const { client, server } = await handshake(context, {
      ...trusting('example.test'),
      maxVersion: 'TLSv1.2',
    });
    const refused = await new Promise<Error | null>((resolve) => {
      client.on('error', resolve);
      client.renegotiate({ rejectUnauthorized: false }, resolve);
    });
    expect(refused).toBeInstanceOf(Error);
    client.destroy();
    server.destroy();
  });

  test('a session is resumed by any context of the store, and by no other store', async () => {
    let now = Date.now();
    const store = await CertStore.create(ca, { now: () => now });
    const session = await sessionOf(store);
    const resumes = async (other: CertStore): Promise<boolean> => {
      const { context } = await other.contextFor(['example.test']);
      const { client, server } = await handshake(context, {
        ...trusting('example.test'),
        session,
        maxVersion: 'TLSv1.2',
      });
      const isReused = client.isSessionReused();
      client.destroy();
      server.destroy();
      return isReused;
    };
    expect(await resumes(store)).toBe(true);
    expect(await resumes(await CertStore.create(ca))).toBe(false);
    now += dayMs;
    expect(await resumes(store)).toBe(false);
  });

  test('stores that are given the same ticket keys resume each other', async () => {
    const ticketKeys = Buffer.alloc(48, 7);
    const [left, right] = [
      await CertStore.create(ca, { ticketKeys }),
      await CertStore.create(ca, { ticketKeys }),
    ];
    const session = await sessionOf(left);
    const { context } = await right.contextFor(['example.test']);
    const { client, server } = await handshake(context, {
      ...trusting('example.test'),
      session,
      maxVersion: 'TLSv1.2',
    });
    expect(client.isSessionReused()).toBe(true);
    client.destroy();
    server.destroy();
  });
});

async function sessionOf(store: CertStore): Promise<Buffer> {
  const { context } = await store.contextFor(['example.test']);
  const { client, server } = await handshake(context, { ...trusting('example.test'), maxVersion: 'TLSv1.2' });
  const session = client.getSession();
  client.destroy();
  server.destroy();
  return session ?? Buffer.alloc(0);
}

function codeOf(error: Error): unknown {
  return 'code' in error ? error.code : error.message;
}

describe('a thousand new hosts at once', () => {
  test('are made in turns, between which everybody else is served', async ({ annotate }) => {
    const store = await CertStore.create(ca);
    await store.contextFor(['warm.test']);
    const state = { isOver: false };
    const before = process.cpuUsage();
    const all = Promise.all(
      Array.from({ length: 1_000 }, (_, index) => store.contextFor([`h${index}.test`])),
    ).then(() => {
      state.isOver = true;
    });
    const gaps: number[] = [];
    for (let last = performance.now(); !state.isOver;) {
      await new Promise((resolve) => setImmediate(resolve));
      const now = performance.now();
      gaps.push(now - last);
      last = now;
    }
    await all;
    const { user, system } = process.cpuUsage(before);
    const sorted = gaps.toSorted((a, b) => a - b);
    const [middle = 0, worst = 0] = [sorted[Math.floor(sorted.length / 2)], sorted.at(-1)];
    await annotate(
      `${((user + system) / 1_000_000).toFixed(2)} ms CPU a host; ${gaps.length} turns of ${middle.toFixed(2)} ms, the longest ${worst.toFixed(2)} ms`,
    );
    expect(store.stats).toMatchObject({ issued: 1_001 });
    expect(gaps.length).toBeGreaterThan(30);
    expect(middle).toBeLessThan(20);
  });
});
