// Catches the revocation status that an origin staples to its handshake, judges it when somebody wants to know, and says whether the
// handshake must be refused for it.
import type { TLSSocket } from 'node:tls';

import { judgeStaple, type RevocationFacts, type RevocationMode, type Staple, stapleRefusal } from 'mitm-tls';

export class StapleWatch {
  readonly #stream: TLSSocket;
  readonly #mode: RevocationMode;
  #response: Buffer | null | undefined;
  #judged: RevocationFacts | undefined;

  /** Must be made before the handshake begins. */
  constructor(stream: TLSSocket, mode: RevocationMode) {
    this.#stream = stream;
    this.#mode = mode;
    this.#response = undefined;
    this.#judged = undefined;
    if (mode === 'off') return;
    stream.once('OCSPResponse', (response: Buffer | null) => {
      this.#response = response;
    });
  }

  /** The revocation facts of a handshake that is complete. */
  facts(): RevocationFacts {
    this.#judged ??= judgeStaple(this.#staple(), this.#mode, Date.now());
    return this.#judged;
  }

  /** Why the certificate is refused in mode `enforce`; undefined where it may pass. */
  refusal(): Error | undefined {
    return this.#mode === 'enforce' ? stapleRefusal(this.#staple(), this.facts()) : undefined;
  }

  #staple(): Staple {
    // A resumed session has neither a staple nor a certificate.
    const certificate = this.#response === undefined ? undefined : this.#stream.getPeerX509Certificate();
    return { response: this.#response, certificate, issuer: certificate?.issuerCertificate };
  }
}
