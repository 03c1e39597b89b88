// What events about TLS handshakes carry: the facts that several of them share, and a failure in full.
import type { RevocationFacts, TlsFailureCause, TlsFailureReason } from 'mitm-tls';

/** Which of the two TLS legs: `downstream` is the client's, `upstream` the origin's. */
export type TlsPeer = 'downstream' | 'upstream';

/** Configured fingerprint facts that every TLS event may carry. */
export interface TlsFingerprintFields {
  readonly tlsFingerprintMode?: string | undefined;
  readonly tlsFingerprintClass?: string | undefined;
}

/** Who reported a handshake, where it was not our own TLS engine. */
export interface TlsProviderFields {
  readonly tlsOpsProvider?: string | undefined;
  readonly tlsOpsProviderHook?: string | undefined;
}

/** What an origin's certificate says about its revocation; on the other leg nothing does. */
export type RevocationFields = {
  readonly [Field in keyof RevocationFacts]?: RevocationFacts[Field] | undefined;
};

/**
 * How the server name of a hello stands to the target of its connection: the same, none (`absent`), none that is a host name
 * (`invalid`), a name for an address (`names_address`), or another name (`mismatch`).
 */
export type SniRelation = 'match' | 'absent' | 'invalid' | 'names_address' | 'mismatch';

/** A handshake that failed, or what came up after it. */
export interface TlsHandshakeFailedPayload extends TlsFingerprintFields, RevocationFields {
  readonly peer: TlsPeer;
  readonly detail: string;
  /** `post_handshake` for what came up when the handshake was done: a late alert, a broken record, a client that left at once. */
  readonly phase?: 'handshake' | 'post_handshake' | undefined;
  /** What exactly was wrong, and so whose fault it was. */
  readonly tlsFailureCause?: TlsFailureCause | undefined;
  /** Number and name of the alert that the peer sent. */
  readonly tlsAlert?: number | undefined;
  readonly tlsAlertName?: string | undefined;
  readonly sni?: string | undefined;
  readonly tlsVersion?: string | undefined;
  readonly tlsFailureReason: TlsFailureReason;
  readonly tlsFailureSource: TlsPeer;
  /** Which TLS engine reported the failure; `node` for our own. */
  readonly tlsOpsProvider: string;
  readonly tlsOpsProviderHook?: string | undefined;
  readonly tlsOpsProviderErrorClass?: string | undefined;
  readonly tlsOpsProviderErrorCode?: string | undefined;
  readonly tlsOpsProviderErrorDetail?: string | undefined;
  readonly normalizedReason: TlsFailureReason;
  readonly rawProviderError: string;
  readonly providerIdentity: string;
  readonly sourceConfidence: 'authoritative' | 'inferred';
  readonly tlsFailureHostCount: number;
  readonly tlsFailureHostRollingCount: number;
  readonly tlsFailureSourceCount: number;
  readonly tlsFailureReasonCount: number;
  readonly tlsFailureGlobalCount: number;
  readonly tlsLearningDecision?: 'applied' | 'ignored' | undefined;
  readonly tlsLearningReasonCode?: string | undefined;
  readonly tlsLearningHostCount?: number | undefined;
  readonly tlsLearningGlobalApplied?: number | undefined;
  readonly tlsLearningGlobalIgnored?: number | undefined;
}
