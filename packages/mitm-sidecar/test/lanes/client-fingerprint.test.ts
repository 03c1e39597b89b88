import type { InterceptHandler, MitmConfigInput } from 'mitm-core';
import type { PolicyEngine, PolicyInput } from 'mitm-policy';
// Who pays for a fingerprint: whoever reads it, once. The hello counts how often it is read for one.
import { ClientHelloReader, type ClientHello, TlsClientFingerprint } from 'mitm-tls';
import { describe, expect, test } from 'vitest';

import { tlsOver } from '../../../../testing/lab/clients.ts';
import { refusedPort } from '../../../../testing/lab/origins.ts';
import { peekBeginning } from '../../src/handshake/peek.ts';
import { fingerprintOf, withFingerprint, withJa4 } from '../../src/lanes/client-fingerprint.ts';
import { serveNamedTls } from '../../src/lanes/direct.ts';
import { interceptTls } from '../../src/lanes/intercept-tls.ts';
import { follow, type Lane } from '../../src/lanes/lane.ts';
import { Session } from '../../src/session.ts';
import { clientOver } from '../proxy-lab.ts';
import { createRuntime, type RuntimeOptions } from '../runtime-fixture.ts';
import { clientHello, tcpPair } from '../streams.ts';

interface Counted {
  readonly hello: ClientHello;
  /** How many fingerprints have been computed. */
  readonly count: () => number;
}

/** Of a hello with a server name, only the fingerprints read the list of extensions, each once. */
function counted(hello: ClientHello): Counted {
  const { extensions } = hello;
  let count = 0;
  const get = (): readonly number[] => {
    count += 1;
    return extensions;
  };
  return { hello: Object.defineProperty({ ...hello }, 'extensions', { get }), count: () => count };
}

async function countedHello(): Promise<Counted> {
  const hello = new ClientHelloReader().push(await clientHello());
  if (hello === undefined) throw new Error('the hello is not whole');
  return counted(hello);
}

const off: Partial<MitmConfigInput> = { tls: { captureFingerprint: false } };

describe('a fingerprint', () => {
  test('is computed when it is read, and once', async () => {
    const { hello, count } = await countedHello();
    const { openFlow } = await createRuntime();
    const fingerprint = fingerprintOf(openFlow(), hello);
    expect(count()).toBe(0);
    const { ja3, ja4 } = fingerprint ?? {};
    expect([fingerprint?.ja3, fingerprint?.ja4]).toEqual([ja3, ja4]);
    expect([ja3?.length, ja4?.length, count()]).toEqual([32, 36, 2]);
  });

  test('that is switched off is not there', async () => {
    const { hello } = await countedHello();
    const { openFlow } = await createRuntime({ config: off });
    expect(fingerprintOf(openFlow(), hello)).toBeUndefined();
  });
});

const input = (): PolicyInput => ({ host: 'a.test', port: 443 });

describe('what a policy is told', () => {
  test('has a JA4 that is computed when it is read', async () => {
    const { hello, count } = await countedHello();
    const told = withJa4(input(), new TlsClientFingerprint(hello));
    expect(count()).toBe(0);
    expect(told.ja4).toMatch(/^t13d/);
    expect(JSON.parse(JSON.stringify(told))).toEqual({ ...input(), ja4: told.ja4 });
    expect(count()).toBe(1);
  });

  test.each([
    ['there is no hello', undefined],
    ['it is switched off', {}],
  ])('has none where %s', (_why, source) => {
    expect(withJa4(input(), source)).not.toHaveProperty('ja4');
  });
});

test('what hooks are told shows both, and as JSON too', async () => {
  const { hello, count } = await countedHello();
  const info = withFingerprint({ sni: 'a.test' }, new TlsClientFingerprint(hello));
  expect(count()).toBe(0);
  expect(JSON.parse(JSON.stringify(info))).toEqual({ sni: 'a.test', ja3: info.ja3, ja4: info.ja4 });
  expect(count()).toBe(2);
  expect(withFingerprint({ sni: 'a.test' }, undefined)).toEqual({ sni: 'a.test' });
});

/** Serves one client that asks twice, in the lane of a CONNECT or of a direct connection, and says what was computed for it. */
async function computedFor(lane: 'connect' | 'direct', options: RuntimeOptions): Promise<number> {
  const { runtime, openFlow, ca, close } = await createRuntime(options);
  const target = { host: 'localhost', port: await refusedPort() };
  await using pair = await tcpPair();
  const session = new Session(pair.near);
  const flow = openFlow(lane === 'connect' ? target : undefined);
  const connecting = tlsOver(pair.far, { servername: 'localhost', ca: ca.certificatePem });
  const beginning = await peekBeginning(session.wire, undefined, { timeoutMs: 5_000, maxBytes: 65_536 });
  if (beginning.kind !== 'tls') throw new Error(`the client began with ${beginning.kind}`);
  const { hello, count } = counted(beginning.hello);
  const first: Lane =
    lane === 'connect'
      ? () => interceptTls(flow, session, runtime, { hello, held: undefined })
      : () => serveNamedTls(flow, session, runtime, { hello, target });
  const ended = follow(first, flow, session, runtime).then(
    () => {},
    () => {}, // the origin is not there
  );
  await using client = clientOver(await connecting);
  for (let round = 0; round < 2; round += 1) {
    client.send('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    expect(await client.receive('\r\n\r\n')).toMatch(/^HTTP\/1\.1 502 /);
  }
  client.stream.end();
  await ended;
  flow.close('shutdown');
  close();
  return count();
}

describe.each(['connect', 'direct'] as const)('in the lane %s, what is computed for a client', (lane) => {
  const handler: InterceptHandler = { onRequest: () => ({ action: 'allow' }) };
  const policy: PolicyEngine = { decide: () => ({ action: 'intercept', reason: 'any' }) };

  test('is nothing where nobody reads it, not even with hooks and a policy', async () => {
    expect(await computedFor(lane, { isHeard: false })).toBe(0);
    expect(await computedFor(lane, { isHeard: false, handler, policy })).toBe(0);
  });

  test('is nothing where it is switched off, whoever would read it', async () => {
    const read: unknown[] = [];
    const eager: RuntimeOptions = {
      config: off,
      handler: {
        onRequest: ({ connectionMeta: { tlsInfo } }) => {
          read.push(tlsInfo?.ja3, tlsInfo?.ja4);
          return { action: 'allow' };
        },
      },
      policy: {
        decide: ({ ja4 }) => {
          read.push(ja4);
          return { action: 'intercept', reason: 'any' };
        },
      },
    };
    expect(await computedFor(lane, eager)).toBe(0);
    expect(new Set(read)).toEqual(new Set([undefined]));
  });

  test('is each of them once, where everybody reads them again and again', async () => {
    const ja4s: unknown[] = [];
    const eager: RuntimeOptions = {
      handler: {
        onRequest: ({ connectionMeta: { tlsInfo } }) => {
          ja4s.push(tlsInfo?.ja4);
          return { action: 'allow' };
        },
      },
      policy: {
        wants: ['request'],
        decide: ({ ja4 }) => {
          ja4s.push(ja4);
          return { action: 'intercept', reason: 'any' };
        },
      },
    };
    expect(await computedFor(lane, eager)).toBe(2);
    expect(ja4s.length).toBeGreaterThan(3);
    expect(new Set(ja4s).size).toBe(1);
  });

  test('is both where somebody listens to events', async () => {
    expect(await computedFor(lane, {})).toBe(2);
  });
});
