import { TlsDiagnostics } from 'mitm-observe';
import { TlsLearning } from 'mitm-policy';
import { classifyTlsText } from 'mitm-tls';
import { describe, expect, test } from 'vitest';

import { MitmproxyTlsAdapter } from '../../src/mitmproxy/adapter.ts';
import type { TlsCallback, TlsCallbackHook } from '../../src/mitmproxy/callback.ts';

function callback(hook: TlsCallbackHook, more: Partial<TlsCallback> = {}): TlsCallback {
  return {
    hook,
    flowId: '7d3e',
    clientAddr: '127.0.0.1:5',
    serverHost: 'a.test',
    serverPort: 443,
    ...more,
  };
}

const place = {
  externalFlowId: 'mitmproxy:7d3e',
  clientAddr: '127.0.0.1:5',
  serverHost: 'a.test',
  serverPort: 443,
};

describe('handshakes that begin and succeed', () => {
  test.each([
    ['tls_handshake_started_client', 'tls_handshake_started', 'downstream'],
    ['tls_handshake_started_server', 'tls_handshake_started', 'upstream'],
    ['tls_handshake_succeeded_client', 'tls_handshake_succeeded', 'downstream'],
    ['tls_handshake_succeeded_server', 'tls_handshake_succeeded', 'upstream'],
  ] as const)('%s is %s of the %s', (hook, kind, peer) => {
    const [event, ...more] = new MitmproxyTlsAdapter().eventsOf(callback(hook, { sni: 's.test' }));
    expect(more).toEqual([]);
    expect(event).toMatchObject({
      ...place,
      kind,
      payload: { peer, sni: 's.test', tlsOpsProvider: 'mitmproxy', tlsOpsProviderHook: hook },
    });
  });

  test.each([
    ['h2', 'h2'],
    ['http/1.1', 'http/1.1'],
    ['h3', undefined],
    [undefined, undefined],
  ])('ALPN %s is told as %s', (alpn, negotiatedAlpn) => {
    const [event] = new MitmproxyTlsAdapter().eventsOf(
      callback('tls_handshake_succeeded_client', { alpn, tlsVersion: 'TLSv1.3' }),
    );
    expect(event?.payload).toMatchObject({ tlsVersion: 'TLSv1.3' });
    expect(event?.payload).toHaveProperty('negotiatedAlpn', negotiatedAlpn);
  });
});

test('a failure has every field that our own failures have, and is audited first', () => {
  const adapter = new MitmproxyTlsAdapter({ now: () => 0 });
  const error = "The client does not trust the proxy's certificate for a.test (tlsv1 alert unknown ca)";
  expect(adapter.eventsOf(callback('tls_failed_client', { error }))).toEqual([
    {
      ...place,
      kind: 'tls_learning_audit',
      payload: {
        tlsLearningDecision: 'ignored',
        tlsLearningReasonCode: 'non_authoritative_provider',
        tlsLearningGlobalApplied: 0,
        tlsLearningGlobalIgnored: 1,
        signalHost: 'a.test',
        signalReason: 'unknown_ca',
        signalSource: 'downstream',
        signalProvider: 'mitmproxy',
        signalInferred: false,
      },
    },
    {
      ...place,
      kind: 'tls_handshake_failed',
      payload: {
        peer: 'downstream',
        detail: error,
        phase: 'handshake',
        tlsFailureReason: 'unknown_ca',
        tlsFailureSource: 'downstream',
        tlsOpsProvider: 'mitmproxy',
        tlsOpsProviderHook: 'tls_failed_client',
        normalizedReason: 'unknown_ca',
        rawProviderError: error,
        providerIdentity: 'mitmproxy',
        sourceConfidence: 'authoritative',
        tlsFailureHostCount: 1,
        tlsFailureHostRollingCount: 1,
        tlsFailureSourceCount: 1,
        tlsFailureReasonCount: 1,
        tlsFailureGlobalCount: 1,
        tlsLearningDecision: 'ignored',
        tlsLearningReasonCode: 'non_authoritative_provider',
        tlsLearningHostCount: 0,
        tlsLearningGlobalApplied: 0,
        tlsLearningGlobalIgnored: 1,
      },
    },
  ]);
});

describe('seven failures of three hosts, as others report them', () => {
  const failures: readonly (readonly [string, string])[] = [
    ['a.test', 'tls: unknown ca'],
    ['a.test', 'hostname mismatch'],
    ['a.test', 'remote error: tls: handshake failure'],
    ['b.test', 'x509: certificate is not valid for any names'],
    ['b.test', 'operation timed out'],
    ['c.test', 'connection reset by peer'],
    ['c.test', 'some unrelated network error'],
  ];
  const diagnostics = new TlsDiagnostics();
  const adapter = new MitmproxyTlsAdapter({ diagnostics, now: () => 0 });
  const events = failures.flatMap(([serverHost, error]) =>
    adapter.eventsOf(callback('tls_failed_server', { serverHost, error })),
  );
  const failed = events.filter((event) => event.kind === 'tls_handshake_failed');

  test('are of the classes that our own engine would give them', () => {
    expect(failed.map(({ payload }) => payload.tlsFailureReason)).toEqual(
      failures.map(([, error]) => classifyTlsText(error)),
    );
  });

  test('are counted by host', () => {
    const { total, hosts } = diagnostics.snapshot(0);
    expect([total, ...[...hosts].map(([host, counts]) => `${host} ${counts.total}`)]).toEqual([
      7,
      'a.test 3',
      'b.test 2',
      'c.test 2',
    ]);
  });

  test('teach nothing, each with its audit', () => {
    const audits = events.filter((event) => event.kind === 'tls_learning_audit');
    expect(audits).toHaveLength(7);
    expect(audits.at(-1)?.payload).toMatchObject({
      tlsLearningGlobalApplied: 0,
      tlsLearningGlobalIgnored: 7,
    });
  });
});

describe('the detail of a failure is', () => {
  test.each([
    ['what the provider gives in detail', { providerErrorDetail: 'detail', error: 'error' }, 'detail'],
    ['else the error', { error: 'error' }, 'error'],
    ['else that there is none', {}, 'TLS failure of which mitmproxy gave no detail'],
  ])('%s', (_rule, more, detail) => {
    const events = new MitmproxyTlsAdapter().eventsOf(callback('tls_failed_client', more));
    expect(events.at(-1)?.payload).toMatchObject({ detail, rawProviderError: detail });
  });
});

test('class and code come from the callback, or else out of the words', () => {
  const error = "OpenSSL Error([('SSL routines', '', 'no shared cipher')])";
  const read = (more: Partial<TlsCallback>): unknown =>
    new MitmproxyTlsAdapter().eventsOf(callback('tls_failed_client', { error, ...more })).at(-1)?.payload;
  expect(read({})).toMatchObject({
    tlsOpsProviderErrorClass: 'OpenSSL',
    tlsOpsProviderErrorCode: 'no shared cipher',
  });
  expect(read({ providerErrorClass: 'Own', providerErrorCode: '7' })).toMatchObject({
    tlsOpsProviderErrorClass: 'Own',
    tlsOpsProviderErrorCode: '7',
  });
});

test('a guard that lets it teach is believed, and there is no audit', () => {
  const guard = new TlsLearning({ providers: ['node', 'mitmproxy'] });
  const events = new MitmproxyTlsAdapter({ guard }).eventsOf(callback('tls_failed_client'));
  expect(events).toMatchObject([
    {
      kind: 'tls_handshake_failed',
      payload: {
        tlsLearningDecision: 'applied',
        tlsLearningReasonCode: 'authoritative',
        tlsLearningHostCount: 1,
        tlsLearningGlobalApplied: 1,
        tlsLearningGlobalIgnored: 0,
      },
    },
  ]);
});
