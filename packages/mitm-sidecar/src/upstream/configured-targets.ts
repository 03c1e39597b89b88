// The upstream targets of each configuration that some flow still goes by: what was begun under one is finished under it.
import type { MitmConfig, NextProxy, Route } from 'mitm-core';

import { type TargetOptions, type UpstreamTarget, UpstreamTargets, type UpstreamTls } from './target.ts';

export class ConfiguredTargets {
  readonly #excludedFingerprints: () => readonly string[];
  /** By configuration, so that it goes when its last flow has. */
  readonly #byConfig: WeakMap<MitmConfig, UpstreamTargets>;
  #current: UpstreamTargets;

  /**
   * @param excludedFingerprints certificates that must not be trusted although a store has them: our own CA's
   * @throws MitmError when a configured CA or client certificate file can't be read
   */
  constructor(config: MitmConfig, excludedFingerprints: () => readonly string[]) {
    this.#excludedFingerprints = excludedFingerprints;
    this.#current = new UpstreamTargets(config, excludedFingerprints());
    this.#byConfig = new WeakMap([[config, this.#current]]);
  }

  /** The target for one exchange or handshake of a flow with this configuration. */
  of(config: MitmConfig, options: TargetOptions): UpstreamTarget {
    return this.#under(config).of(options);
  }

  /** The part of a target's key that is known before a ClientHello is. */
  placeOf(config: MitmConfig, route: Route): string {
    return this.#under(config).placeOf(route);
  }

  /** How TLS is spoken to a proxy on the way of a flow with this configuration. */
  proxyTls(config: MitmConfig, proxy: NextProxy): UpstreamTls {
    return this.#under(config).proxyTls(proxy);
  }

  /** Loads the trusted roots now, so that the first connection does not wait for them. */
  warm(): void {
    this.#current.warm();
  }

  /**
   * Reads what a configuration names, without putting it in force.
   *
   * @returns puts it in force, and says whether connections made before may still be used
   * @throws MitmError when a file can't be read
   */
  prepare(config: MitmConfig): () => boolean {
    const prepared = this.#prepared(config);
    return () => {
      const isSame = prepared === this.#current;
      this.#current = prepared;
      return isSame;
    };
  }

  #under(config: MitmConfig): UpstreamTargets {
    return this.#byConfig.get(config) ?? this.#prepared(config);
  }

  /** Where no setting and no file differs, the targets in force serve the other configuration too. */
  #prepared(config: MitmConfig): UpstreamTargets {
    const made = new UpstreamTargets(config, this.#excludedFingerprints());
    const prepared = made.settings === this.#current.settings ? this.#current : made;
    this.#byConfig.set(config, prepared);
    return prepared;
  }
}
