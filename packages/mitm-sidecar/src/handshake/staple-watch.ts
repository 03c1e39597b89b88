// Catches the revocation status that an origin staples to its handshake, judges it when somebody wants to know, and says whether the
// handshake must be refused for it.
import { X509Certificate } from 'node:crypto';
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
    const response = this.#response;
    // Not `getPeerX509Certificate`: it gives the certificate once, and leaves nothing for whoever asks next.
    const peer = response === undefined ? undefined : this.#stream.getPeerCertificate(true);
    // A resumed session has neither a staple nor a certificate.
    if (peer === undefined || !Buffer.isBuffer(peer.raw))
      return { response, certificate: undefined, issuer: undefined };
    const issuer: unknown = peer.issuerCertificate;
    return {
      response,
      certificate: new X509Certificate(peer.raw),
      issuer: hasRaw(issuer) ? new X509Certificate(issuer.raw) : undefined,
    };
  }
}

function hasRaw(value: unknown): value is { readonly raw: Buffer } {
  return typeof value === 'object' && value !== null && 'raw' in value && Buffer.isBuffer(value.raw);
}
