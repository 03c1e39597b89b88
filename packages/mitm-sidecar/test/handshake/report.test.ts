// What is told about a handshake, and to whom.
import { describe, expect, test } from 'vitest';

import { handshakeFailed, handshakeStarted, handshakeSucceeded } from '../../src/handshake/report.ts';
import { createRuntime } from '../runtime-fixture.ts';

const target = { host: 'example.org', port: 443 };

describe('a handshake of the connection itself', () => {
  test('moves the state of its flow', async () => {
    const { openFlow, recorder } = await createRuntime();
    const flow = openFlow(target);
    flow.emit('connect_received', {});
    flow.emit('connect_decision', { action: 'intercept', reason: 'test' });
    const before = flow.state;
    handshakeStarted(flow, { peer: 'upstream', role: 'own', sni: 'example.org' });
    expect(flow.state).not.toBe(before);
    expect(recorder.kinds().at(-1)).toBe('tls_handshake_started');
  });

  test('says what is known and nothing else', async () => {
    const { openFlow, recorder } = await createRuntime();
    const flow = openFlow(target);
    handshakeStarted(flow, { peer: 'downstream', role: 'own', certCacheStatus: 'miss' });
    handshakeSucceeded(flow, { peer: 'downstream', role: 'own', alpn: 'h2', version: 'TLSv1.3' });
    const [started, succeeded] = recorder.events();
    expect(started).toMatchObject({ peer: 'downstream', certCacheStatus: 'miss' });
    expect(started).not.toHaveProperty('sni');
    expect(succeeded).toMatchObject({ peer: 'downstream', negotiatedAlpn: 'h2', tlsVersion: 'TLSv1.3' });
  });
});

test('a handshake of a dial for an exchange leaves the state of that flow alone', async () => {
  const { openFlow, recorder } = await createRuntime();
  const flow = openFlow(undefined, openFlow(target));
  const before = flow.state;
  const facts = { peer: 'upstream', role: 'dial', sni: 'example.org' } as const;
  handshakeStarted(flow, facts);
  handshakeSucceeded(flow, { ...facts, alpn: undefined, version: undefined });
  expect(flow.state).toBe(before);
  expect(recorder.events()).toMatchObject([
    { kind: 'tls_handshake_started', sni: 'example.org' },
    { kind: 'tls_handshake_succeeded', sni: 'example.org' },
  ]);
});

test.each([
  ['http/1.1', 'http/1.1'],
  ['h2', 'h2'],
  ['mqtt', undefined],
  [undefined, undefined],
])('of the protocol %s, %s is told', async (alpn, told) => {
  const { openFlow, recorder } = await createRuntime();
  handshakeSucceeded(openFlow(target), { peer: 'upstream', role: 'dial', alpn, version: undefined });
  expect(Reflect.get(recorder.events()[0] ?? {}, 'negotiatedAlpn')).toBe(told);
});

test('a failure is classified, counted by host, and told to the handler', async () => {
  const told: string[][] = [];
  const { runtime, openFlow, recorder } = await createRuntime({
    handler: {
      onTlsFailure: (host, error) => {
        told.push([host, error]);
      },
    },
  });
  const flow = openFlow(target);
  const error = Object.assign(new Error('certificate has expired'), { code: 'CERT_HAS_EXPIRED' });
  const facts = { peer: 'upstream', host: 'example.org', error, sni: 'example.org' } as const;
  expect(handshakeFailed(runtime, flow, { ...facts, role: 'dial' })).toMatchObject({
    reason: 'cert_validation',
    cause: 'expired',
  });
  expect(handshakeFailed(runtime, flow, { ...facts, role: 'own' })).toMatchObject({
    reason: 'cert_validation',
    cause: 'expired',
  });
  await flow.connection.settled();
  const text = 'upstream handshake failed: CERT_HAS_EXPIRED: certificate has expired';
  expect(told).toEqual([
    ['example.org', text],
    ['example.org', text],
  ]);
  const events = recorder.events().filter(({ kind }) => kind === 'tls_handshake_failed');
  expect(events).toHaveLength(2);
  expect(events[0]).toMatchObject({ peer: 'upstream', sni: 'example.org' });
  expect(runtime.tls.diagnostics.snapshot(performance.now())).toMatchObject({ total: 2 });
  expect(runtime.tls.diagnostics.snapshot(performance.now()).hosts.get('example.org')).toMatchObject({
    total: 2,
    bySource: { upstream: 2 },
    byReason: { cert_validation: 2 },
  });
});

describe('a client that has seen our certificate gets a strike', () => {
  const gone = Object.assign(new Error('gone'), { code: 'ECONNRESET' });
  const unknownCa = new Error('ssl3_read_bytes:tlsv1 alert unknown ca:SSL alert number 48');
  test.each([
    ['when it leaves', { error: gone, hadCertificate: true }, 1],
    ['when it refuses it', { error: unknownCa, hadCertificate: true }, 1],
    ['but not when it leaves before', { error: gone }, 0],
    ['nor when it may want an encrypted hello', { error: gone, hadCertificate: true, offersEch: true }, 0],
    ['unless it then refuses it in words', { error: unknownCa, hadCertificate: true, offersEch: true }, 1],
  ])('%s', async (_rule, facts, strikes) => {
    const { runtime, openFlow } = await createRuntime({ config: { interceptMode: 'monitor' } });
    const failure = { peer: 'downstream', role: 'own', host: target.host, ...facts } as const;
    handshakeFailed(runtime, openFlow(target), failure);
    expect(runtime.tls.snapshot().backoff.map((entry) => entry.strikes)).toEqual(strikes === 0 ? [] : [1]);
  });
});
