// The same proxy in the words of the original API, for readers who come from there. `createMitmProxy` is the documented way.
import type { InterceptHandler, MitmConfigInput } from 'mitm-core';
import type { CertificateAuthority } from 'mitm-tls';

import type { MitmProxy } from './contract.ts';
import { createMitmProxy } from './proxy.ts';

/** Collects what a proxy is made of. */
export class MitmProxyBuilder {
  readonly #config: MitmConfigInput;
  readonly #handler: InterceptHandler;
  #ca: CertificateAuthority | undefined;

  constructor(config: MitmConfigInput, handler: InterceptHandler = {}) {
    this.#config = config;
    this.#handler = handler;
    this.#ca = undefined;
  }

  /** Signs with this authority instead of the configured files. */
  withCa(ca: CertificateAuthority): this {
    this.#ca = ca;
    return this;
  }

  /** @throws ConfigError with every problem of the configuration */
  build(): MitmProxy {
    return createMitmProxy({ config: this.#config, handler: this.#handler, ca: this.#ca });
  }
}
