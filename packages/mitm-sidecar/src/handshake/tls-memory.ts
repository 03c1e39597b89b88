// What one proxy remembers of failed handshakes: how often each host failed, what was learnt from that, and which clients are let
// through unread because they keep refusing our certificate.
import type { Connection, Flow, MitmConfig } from 'mitm-core';
import { TlsDiagnostics, type TlsDiagnosticsSnapshot } from 'mitm-observe';
import {
  TlsBackoff,
  type TlsBackoffEntry,
  type TlsBackoffKey,
  TlsLearning,
  type TlsLearningSnapshot,
} from 'mitm-policy';

/** All of it at one moment. */
export interface TlsSnapshot {
  readonly failures: TlsDiagnosticsSnapshot;
  readonly learning: TlsLearningSnapshot;
  readonly backoff: readonly TlsBackoffEntry[];
}

export class TlsMemory {
  readonly diagnostics: TlsDiagnostics;
  readonly learning: TlsLearning;
  readonly backoff: TlsBackoff;
  /** Errors that were reported: one of a shared connection concerns each exchange on it, and is told once. */
  readonly #told: WeakSet<Error>;

  constructor() {
    this.diagnostics = new TlsDiagnostics();
    this.learning = new TlsLearning();
    this.backoff = new TlsBackoff();
    this.#told = new WeakSet();
  }

  /** True the first time that it is asked about an error. */
  isNews(error: Error): boolean {
    if (this.#told.has(error)) return false;
    this.#told.add(error);
    return true;
  }

  /** Notes that a client refused our certificate, and says on its flow when that lets it through from now on. */
  strike(flow: Flow): void {
    if (!isBackoffOn(flow.config)) return;
    const { backoff: limits } = flow.config.tls;
    const key = backoffKey(flow);
    const { strikes, hasBegun } = this.backoff.strike(key, performance.now(), limits);
    if (!hasBegun) return;
    flow.note('tls_backoff_started', {
      backoffClient: key.client,
      backoffHost: key.host,
      strikes,
      ttlMs: limits.ttlMs,
    });
    flow.engine.logger.warn(
      { client: key.client, host: key.host, strikes, ttlMs: limits.ttlMs },
      'client is let through unread: it keeps refusing the certificate',
    );
  }

  /** Notes that a request was served on an intercepted connection: its client accepts our certificate for the host. */
  served(flow: Flow): void {
    if (!this.backoff.isEmpty) this.backoff.served(backoffKey(flow));
  }

  /** Whether the client of a CONNECT is let through. Waits for its process only while somebody is let through at all. */
  async isLetThrough(flow: Flow): Promise<boolean> {
    if (this.backoff.isEmpty || !isBackoffOn(flow.config)) return false;
    await flow.connection.attributed;
    return this.backoff.isLetThrough(backoffKey(flow), performance.now());
  }

  snapshot(): TlsSnapshot {
    const now = performance.now();
    return {
      failures: this.diagnostics.snapshot(now),
      learning: this.learning.snapshot(),
      backoff: this.backoff.snapshot(now),
    };
  }
}

/** Whether clients that refuse our certificate are let through under this configuration. */
export function isBackoffOn({ tls, interceptMode }: MitmConfig): boolean {
  return tls.backoff.mode === 'on' || (tls.backoff.mode === 'auto' && interceptMode === 'monitor');
}

function backoffKey(flow: Flow): TlsBackoffKey {
  return { client: clientOf(flow.connection), host: flow.route.target.host };
}

/**
 * The client in words that stay the same from one of its connections to the next, and from one run of a program to the next: the file
 * that runs. A name alone anybody can give itself, so that without a file the process number is what tells one from another. A process
 * that is not known, or runs on another machine, goes by its address.
 */
function clientOf({ processInfo, socketFamily }: Connection): string {
  if (processInfo !== undefined) {
    const { pid, exePath, exeName } = processInfo;
    return exePath === undefined ? `process:${pid} ${exeName ?? ''}`.trimEnd() : `program:${exePath}`;
  }
  return socketFamily.kind === 'unix_domain'
    ? `unix:${socketFamily.path ?? ''}`
    : `address:${socketFamily.remote.address}`;
}
