// A real runtime without a proxy server around it: engine, certificates, targets and pool as `ProxyServer` makes them, with
// every event recorded.
import {
  Connection,
  Engine,
  type Flow,
  type InterceptHandler,
  type MitmConfigInput,
  parseConfig,
  planRoute,
} from 'mitm-core';
import type { Authority } from 'mitm-http';
import { EventBus, EventRecorder, Metrics, silentLogger } from 'mitm-observe';
import type { PolicyEngine } from 'mitm-policy';
import { type CertificateAuthority, CertStore, generateCa, RevocationLists } from 'mitm-tls';

import { CredentialStore } from '../src/arrival/credentials.ts';
import { TlsMemory } from '../src/handshake/tls-memory.ts';
import { OpenSockets } from '../src/open-sockets.ts';
import { Attribution } from '../src/process/attribution.ts';
import { ProcessLookup } from '../src/process/lookup.ts';
import type { ProcessSource } from '../src/process/source.ts';
import type { Runtime } from '../src/runtime.ts';
import { AddressGuard, type Resolver } from '../src/upstream/address-guard.ts';
import { ConfiguredTargets } from '../src/upstream/configured-targets.ts';
import { connectUpstream } from '../src/upstream/connect.ts';
import { type ListenAddress, LoopGuard } from '../src/upstream/loop-guard.ts';
import { OriginIdentities } from '../src/upstream/origin-identities.ts';
import { UpstreamPool } from '../src/upstream/pool.ts';

export interface RuntimeOptions {
  /** Laid over: every destination is intercepted, a free loopback port, and only bundled roots are trusted. */
  readonly config?: Partial<MitmConfigInput> | undefined;
  readonly handler?: InterceptHandler | undefined;
  /** Where the proxy is said to listen; nowhere unless given. */
  readonly listeners?: readonly ListenAddress[] | undefined;
  /** The proxy's own authority; the one of this process unless given. */
  readonly ca?: CertificateAuthority | undefined;
  /** The caller's own policy, in place of the configured one. */
  readonly policy?: PolicyEngine | undefined;
  /** Looks names up; the system's resolver unless given. */
  readonly resolver?: Resolver | undefined;
  /** False where nobody listens to events, so that none is recorded. */
  readonly isHeard?: boolean | undefined;
  /** Who knows the client's process. Nobody is asked unless given. */
  readonly processSource?: ProcessSource | undefined;
}

export interface RuntimeFixture {
  readonly runtime: Runtime;
  readonly engine: Engine;
  readonly recorder: EventRecorder;
  readonly ca: CertificateAuthority;
  /** Switched on, it makes the runtime say that the proxy is shutting down. */
  readonly draining: { isOn: boolean };
  /** A flow of a new loopback connection; with a target it has a name and a route, as after a CONNECT was read. */
  readonly openFlow: (target?: Authority, parent?: Flow) => Flow;
  /** Closes every upstream connection at once. */
  readonly close: () => void;
}

const authority: { made: Promise<CertificateAuthority> | undefined } = { made: undefined };

/** The authority that runtimes of this test process share: making one costs milliseconds. */
export function fixtureCa(): Promise<CertificateAuthority> {
  authority.made ??= generateCa({ commonName: 'Runtime fixture CA' });
  return authority.made;
}

/** Builds a runtime from a configuration. @throws ConfigError, or what reading its files brings */
export async function createRuntime(options: RuntimeOptions = {}): Promise<RuntimeFixture> {
  const { config: given = {}, handler = {}, listeners = [] } = options;
  const config = parseConfig({
    interception: { destinations: ['*:*'] },
    bind: '127.0.0.1:0',
    ...given,
    upstream: { trust: 'bundled', ...given.upstream },
    processAttribution: { enabled: options.processSource !== undefined, ...given.processAttribution },
  });
  const ca = options.ca ?? (await fixtureCa());
  const metrics = new Metrics();
  const bus = new EventBus({ metrics });
  const recorder = new EventRecorder();
  if (options.isHeard !== false) bus.subscribe(recorder);
  const engine = new Engine({ config, handler, bus, metrics, logger: silentLogger, policy: options.policy });
  const certificates = await CertStore.create(ca, { profile: config.tls.downstreamCertProfile });
  const draining = { isOn: false };
  const loopGuard = new LoopGuard(() => listeners);
  const runtime: Runtime = {
    engine,
    certificates,
    revocationLists: new RevocationLists(),
    keyLog: undefined,
    targets: new ConfiguredTargets(config, () => [ca.fingerprint]),
    pool: new UpstreamPool(
      (target, flow, sessions) => connectUpstream(runtime, flow, target, sessions),
      () => engine.config,
    ),
    loopGuard,
    addresses: new AddressGuard(loopGuard, options.resolver),
    identities: new OriginIdentities(),
    tls: new TlsMemory(),
    attribution: new Attribution(
      new ProcessLookup({
        config: () => engine.config.processAttribution,
        metrics,
        source: options.processSource,
      }),
      silentLogger,
    ),
    credentials: new CredentialStore(),
    sockets: new OpenSockets(),
    isDraining: () => draining.isOn,
  };
  return {
    runtime,
    engine,
    recorder,
    ca,
    draining,
    openFlow: (target, parent) => {
      if (parent !== undefined) return parent.openChild({ state: 'tls_ready', protocol: 'http1' });
      const flow = engine.openFlow({ connection: loopbackConnection() });
      if (target !== undefined) {
        flow.nameTarget(target);
        flow.route = planRoute(config, target);
      }
      return flow;
    },
    close: () => runtime.pool.close(),
  };
}

/** A client connection as an accepted loopback socket would describe it. */
export function loopbackConnection(): Connection {
  return new Connection({
    kind: 'tcp_v4',
    local: { address: '127.0.0.1', port: 8_080 },
    remote: { address: '127.0.0.1', port: 50_000 },
  });
}
