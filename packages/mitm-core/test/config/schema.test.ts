// Every default in one place. A line that changes here changes how the proxy behaves for everyone who left that field out.
import { expect, expectTypeOf, test } from 'vitest';

import { parseConfig } from '../../src/config/parse.ts';
import type { MitmConfig, MitmConfigInput, TimeoutsConfig, UpstreamConfig } from '../../src/config/schema.ts';

test('CF-08 CF-12 the least configuration gets these defaults', () => {
  expect(parseConfig({ interception: { destinations: ['*:*'] } })).toEqual({
    bind: { host: '127.0.0.1', port: 8080 },
    listeners: [],
    proxyAuthentication: { realm: 'soth-mitm', users: [] },
    connectParseMode: 'strict',
    maxConnectHeadBytes: 65_536,
    acceptRetryBackoffMs: 100,
    interception: {
      destinations: ['*:*'],
      passthroughUnlisted: true,
      ignoreHosts: [],
      blockedHosts: [],
      authorityCheck: 'warn',
      sniCheck: 'warn',
      ipLiteralCheck: 'off',
      privateTargetCheck: 'off',
      privateClasses: [
        'unspecified',
        'loopback',
        'link_local',
        'private',
        'shared',
        'metadata',
        'multicast',
        'reserved',
      ],
      allowedPrivateTargets: [],
      unknownProtocol: 'tunnel',
    },
    interceptMode: 'enforce',
    processAttribution: { enabled: true, lookupTimeoutMs: 5_000, cacheCapacity: 4_096 },
    compatibilityOverrides: [],
    tls: {
      caCertPath: './certs/soth-mitm-ca.pem',
      caKeyPath: './certs/soth-mitm-ca-key.pem',
      minVersion: 'tls1.2',
      captureFingerprint: true,
      downstreamCertProfile: 'modern',
      leafCertCacheCapacity: 1_024,
      caCommonName: 'soth-mitm Local CA',
      caOrganization: 'soth-mitm',
      caRotateOverlapSeconds: 604_800,
      backoff: { mode: 'auto', strikes: 3, windowMs: 300_000, ttlMs: 900_000 },
    },
    upstream: {
      timeoutMs: 600_000,
      connectTimeoutMs: 10_000,
      retryOnFailure: false,
      retryDelayMs: 200,
      h2HeaderStageTimeoutMs: 600_000,
      h2BodyIdleTimeoutMs: 600_000,
      h2ResponseOverflowMode: 'truncate_continue',
      verifyUpstreamTls: true,
      trust: 'both',
      caPaths: [],
      tlsProfile: 'default',
      sniMode: 'auto',
      clientAuthMode: 'never',
      clientCertificates: [],
      revocationMode: 'passive_observe',
      fingerprintMode: 'native',
      fingerprintClass: 'native',
    },
    routeMode: 'direct',
    upstreamProxies: [],
    routes: [],
    noProxy: [],
    http2Enabled: true,
    http2Limits: {
      maxConcurrentStreams: 128,
      maxContinuationFrames: 32,
      maxEmptyDataFrames: 200,
      maxIgnoredFrames: 5_000,
      maxPings: 2_000,
      maxQueuedControlFrames: 1_000,
      maxRefusedStreams: 200,
      maxResets: 200,
      maxSettingsFrames: 100,
      maxWindowUpdates: 2_000,
      spanMs: 10_000,
      zeroWindowMs: 300_000,
    },
    http2MaxHeaderListSize: 65_536,
    http2Bridge: false,
    http3Passthrough: false,
    altSvc: 'strip',
    maxHttpHeadBytes: 65_536,
    maxConcurrentFlows: 2_048,
    maxInFlightBytes: 67_108_864,
    maxFlowEventBacklog: 8_192,
    connectionPool: { maxConnectionsPerHost: 256, idleTimeoutMs: 60_000, maxIdlePerHost: 64 },
    body: {
      maxSizeBytes: 10_485_760,
      bufferRequestBodies: true,
      bufferIdleMs: 2_000,
      maxDecoderBytes: 4_194_304,
    },
    timeouts: { headMs: 30_000, handshakeMs: 10_000, tunnelIdleMs: 600_000, bodyIdleMs: 600_000 },
    handler: {
      requestTimeoutMs: 5_000,
      responseTimeoutMs: 5_000,
      recoverFromPanics: true,
      failureMode: 'open',
    },
    flowRuntime: {
      dispatchOverflow: 'drop',
      dispatchQueueCapacity: 128,
      dispatchQueueSendTimeoutMs: 5_000,
      dispatchCloseJoinTimeoutMs: 10_000,
    },
  });
});

test('the types follow the schema', () => {
  expectTypeOf<MitmConfig['bind']>().toEqualTypeOf<
    { readonly host: string; readonly port: number } | 'none'
  >();
  expectTypeOf<UpstreamConfig['sniMode']>().toEqualTypeOf<'required' | 'auto' | 'disabled'>();
  expectTypeOf<TimeoutsConfig['headMs']>().toEqualTypeOf<number>();
  expectTypeOf<MitmConfig['flowRuntime']['dispatchCloseJoinTimeoutMs']>().toEqualTypeOf<number>();
  expectTypeOf<{ interception: { destinations: string[] } }>().toExtend<MitmConfigInput>();
  expectTypeOf<MitmConfig>().toExtend<MitmConfigInput>();
});
