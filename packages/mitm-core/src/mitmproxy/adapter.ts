// Turns mitmproxy's TLS callbacks into the events that our own handshakes have, counted in the same way. What another proxy reports
// is never learnt from, and its flows keep their own names, so that they can't be taken for ours.
import { type EventPayloads, TlsDiagnostics, tlsFailurePayload, type TlsPeer } from 'mitm-observe';
import { TlsLearning } from 'mitm-policy';
import { noRevocation, type TlsFailureReason } from 'mitm-tls';

import type { TlsCallback, TlsCallbackHook } from './callback.ts';
import { type MitmproxyFailure, readMitmproxyFailure, silentFailure } from './failure.ts';

const provider = 'mitmproxy';

/** The kinds of event that callbacks become. */
export type ExternalTlsEventKind =
  | 'tls_handshake_started'
  | 'tls_handshake_succeeded'
  | 'tls_handshake_failed'
  | 'tls_learning_audit';

/** What another proxy saw: the payload of our event of that kind, under the other's flow. */
export type ExternalTlsEvent<K extends ExternalTlsEventKind = ExternalTlsEventKind> = {
  [P in K]: {
    readonly kind: P;
    /** `mitmproxy:` and its id: a text, where our own flows have numbers. */
    readonly externalFlowId: string;
    readonly clientAddr: string;
    readonly serverHost: string;
    readonly serverPort: number;
    readonly payload: EventPayloads[P];
  };
}[K];

/** What is asked whether a failure may teach. */
export type TlsSignalGuard = Pick<TlsLearning, 'ingest'>;

export interface MitmproxyTlsAdapterOptions {
  /** Where failures are counted; counts of its own when absent. */
  readonly diagnostics?: TlsDiagnostics;
  /** The learning guard of a proxy, or one of its own when absent; a guard ignores what other proxies report, and counts it. */
  readonly guard?: TlsSignalGuard;
  /** Milliseconds of any clock that does not go back; `performance.now` when absent. */
  readonly now?: () => number;
}

interface HookMeaning {
  readonly peer: TlsPeer;
  readonly step: 'started' | 'succeeded' | 'failed';
}

const meanings = {
  tls_handshake_started_client: { peer: 'downstream', step: 'started' },
  tls_handshake_started_server: { peer: 'upstream', step: 'started' },
  tls_handshake_succeeded_client: { peer: 'downstream', step: 'succeeded' },
  tls_handshake_succeeded_server: { peer: 'upstream', step: 'succeeded' },
  tls_failed_client: { peer: 'downstream', step: 'failed' },
  tls_failed_server: { peer: 'upstream', step: 'failed' },
} as const satisfies Readonly<Record<TlsCallbackHook, HookMeaning>>;

const unknownFingerprint = { mode: '', class: '' } as const;
const untold = {
  tlsFailureCause: undefined,
  revocationPolicyMode: undefined,
  upstreamOcspStaplePresent: undefined,
  upstreamOcspStapleStatus: undefined,
  revocationDecision: undefined,
  tlsFingerprintMode: undefined,
  tlsFingerprintClass: undefined,
} as const;

/** Maps callbacks one after the other. It holds counts and nothing else. */
export class MitmproxyTlsAdapter {
  readonly #diagnostics: TlsDiagnostics;
  readonly #guard: TlsSignalGuard;
  readonly #now: () => number;

  constructor(options: MitmproxyTlsAdapterOptions = {}) {
    this.#diagnostics = options.diagnostics ?? new TlsDiagnostics();
    this.#guard = options.guard ?? new TlsLearning();
    this.#now = options.now ?? (() => performance.now());
  }

  /** The events of a callback, in order: one, and for a failure that may not teach, the audit of that before it. */
  eventsOf(callback: TlsCallback): readonly ExternalTlsEvent[] {
    const { hook, sni } = callback;
    const { peer, step } = meanings[hook];
    const told = { peer, sni, tlsOpsProvider: provider, tlsOpsProviderHook: hook };
    const place = placeOf(callback);
    switch (step) {
      case 'started':
        return [{ ...place, kind: 'tls_handshake_started', payload: told }];
      case 'succeeded': {
        const { alpn, tlsVersion } = callback;
        const negotiatedAlpn = alpn === 'h2' || alpn === 'http/1.1' ? alpn : undefined;
        return [
          { ...place, kind: 'tls_handshake_succeeded', payload: { ...told, negotiatedAlpn, tlsVersion } },
        ];
      }
      case 'failed':
        return this.#failed(callback, peer);
    }
  }

  #failed(callback: TlsCallback, peer: TlsPeer): readonly ExternalTlsEvent[] {
    const { serverHost: host, hook, sni, tlsVersion, providerErrorDetail, error } = callback;
    const detail = providerErrorDetail ?? error ?? silentFailure;
    const failure = readMitmproxyFailure(detail);
    const { reason } = failure;
    const counts = this.#diagnostics.record({ host, source: peer, reason, nowMs: this.#now() });
    const learning = this.#guard.ingest({
      host,
      failureReason: reason,
      failureSource: peer,
      provider,
      isInferred: false,
    });
    const place = placeOf(callback);
    const failed: ExternalTlsEvent<'tls_handshake_failed'> = {
      ...place,
      kind: 'tls_handshake_failed',
      payload: {
        ...tlsFailurePayload({
          peer,
          detail,
          error: { reason, cause: 'unknown', alert: undefined, code: undefined },
          counts,
          learning,
          revocation: noRevocation('off'),
          fingerprint: unknownFingerprint,
          isInferred: false,
          isLate: false,
          sni,
          tlsVersion,
        }),
        // How the other proxy greeted, and what it asked about revocation, is not told.
        ...untold,
        tlsOpsProvider: provider,
        tlsOpsProviderHook: hook,
        providerIdentity: provider,
        ...providerError(callback, failure),
      },
    };
    if (learning.decision === 'applied') return [failed];
    return [{ ...place, kind: 'tls_learning_audit', payload: auditOf(host, peer, reason, learning) }, failed];
  }
}

function placeOf({ flowId, clientAddr, serverHost, serverPort }: TlsCallback): {
  readonly externalFlowId: string;
  readonly clientAddr: string;
  readonly serverHost: string;
  readonly serverPort: number;
} {
  return { externalFlowId: `${provider}:${flowId}`, clientAddr, serverHost, serverPort };
}

/** What the callback says of the error goes before what was read out of its text. */
function providerError(
  callback: TlsCallback,
  { errorClass, errorCode }: MitmproxyFailure,
): Pick<
  EventPayloads['tls_handshake_failed'],
  'tlsOpsProviderErrorClass' | 'tlsOpsProviderErrorCode' | 'tlsOpsProviderErrorDetail'
> {
  return {
    tlsOpsProviderErrorClass: callback.providerErrorClass ?? errorClass,
    tlsOpsProviderErrorCode: callback.providerErrorCode ?? errorCode,
    tlsOpsProviderErrorDetail: callback.providerErrorDetail,
  };
}

function auditOf(
  host: string,
  peer: TlsPeer,
  reason: TlsFailureReason,
  learning: ReturnType<TlsSignalGuard['ingest']>,
): EventPayloads['tls_learning_audit'] {
  return {
    tlsLearningDecision: 'ignored',
    tlsLearningReasonCode: learning.reasonCode,
    tlsLearningGlobalApplied: learning.globalApplied,
    tlsLearningGlobalIgnored: learning.globalIgnored,
    signalHost: host,
    signalReason: reason,
    signalSource: peer,
    signalProvider: provider,
    signalInferred: false,
  };
}
