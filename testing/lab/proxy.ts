// The proxy as a program embeds it, in front of the lab's origins: a port of its own, a CA made for it, trust in the lab's
// authority, a record of all events, and the two invariants that every test of it ends with.
import {
  type CertificateAuthority,
  createMitmProxy,
  EventRecorder,
  type FramerFactory,
  generateCa,
  type InterceptHandler,
  type MitmConfigInput,
  type MitmProxyHandle,
  type PolicyEngine,
} from 'soth-mitm';

import type { LabAuthority } from './certificates.ts';
import { expectClosedOnce, expectOrdered } from './events.ts';
import { temporaryDirectory } from './temporary.ts';

export interface LabProxyOptions {
  readonly config?: Partial<MitmConfigInput>;
  readonly handler?: InterceptHandler;
  /** Judges in place of the configured lists. */
  readonly policy?: PolicyEngine;
  /** Whose origins the proxy trusts. */
  readonly trusts?: LabAuthority;
  /** Of the test's own, by media type. */
  readonly framers?: Readonly<Record<string, FramerFactory>>;
}

export interface LabProxy extends AsyncDisposable {
  readonly handle: MitmProxyHandle;
  readonly port: number;
  readonly events: EventRecorder;
  readonly ca: CertificateAuthority;
  /** What a client has to know to go through it. */
  readonly forClients: { readonly proxyPort: number; readonly ca: string };
  /** A file with the proxy's CA, for programs that want one. */
  readonly caFile: string;
  /** Shuts down, then checks event order, one close per flow, and that nothing is counted as active. */
  finish(): Promise<void>;
}

/** Starts a proxy that intercepts everything, unless the configuration says otherwise. */
export async function startProxy(options: LabProxyOptions = {}): Promise<LabProxy> {
  const folder = await temporaryDirectory();
  const ca = await generateCa();
  const caFile = await folder.write('proxy-ca.pem', ca.certificatePem);
  const upstream = options.config?.upstream ?? {};
  const proxy = createMitmProxy({
    ca,
    handler: options.handler ?? {},
    ...(options.policy !== undefined && { policy: options.policy }),
    config: {
      bind: '127.0.0.1:0',
      interception: { destinations: ['*:*'] },
      ...options.config,
      upstream:
        options.trusts === undefined ? upstream : { caPaths: [await options.trusts.caFile()], ...upstream },
    },
  });
  for (const [contentType, factory] of Object.entries(options.framers ?? {}))
    proxy.registerFramer(contentType, factory);
  const handle = await proxy.start();
  const events = new EventRecorder({ capacity: 100_000 });
  handle.events.subscribe(events);
  return {
    handle,
    port: handle.address.port,
    events,
    ca,
    forClients: { proxyPort: handle.address.port, ca: ca.certificatePem },
    caFile,
    finish: async () => {
      await handle.shutdown();
      expectOrdered(events.events());
      expectClosedOnce(events.events());
      const { activeConnections, activeFlows, invalidTransitionCount } = handle.metrics();
      const counts = { activeConnections, activeFlows, invalidTransitionCount };
      if (Object.values(counts).some((count) => count !== 0)) {
        throw new Error(`not everything ended as it should: ${JSON.stringify(counts)}`);
      }
    },
    [Symbol.asyncDispose]: async () => {
      await handle.shutdown(0).catch(() => {
        // A test that failed half-way leaves connections; its own error is the one to see.
      });
      await folder[Symbol.asyncDispose]();
    },
  };
}
