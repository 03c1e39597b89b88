// The long-lived things that every connection of one proxy needs. Made by the proxy server, handed to everything below.
import type { Engine } from 'mitm-core';
import type { CertStore, RevocationLists } from 'mitm-tls';

import type { CredentialStore } from './arrival/credentials.ts';
import type { KeyLog } from './handshake/key-log.ts';
import type { TlsMemory } from './handshake/tls-memory.ts';
import type { OpenSockets } from './open-sockets.ts';
import type { Attribution } from './process/attribution.ts';
import type { AddressGuard } from './upstream/address-guard.ts';
import type { ConfiguredTargets } from './upstream/configured-targets.ts';
import type { LoopGuard } from './upstream/loop-guard.ts';
import type { OriginIdentities } from './upstream/origin-identities.ts';
import type { UpstreamPool } from './upstream/pool.ts';

export interface Runtime {
  readonly engine: Engine;
  readonly certificates: CertStore;
  readonly revocationLists: RevocationLists;
  /** Where the secrets of TLS connections go; nowhere unless asked for. */
  readonly keyLog: KeyLog | undefined;
  readonly targets: ConfiguredTargets;
  readonly pool: UpstreamPool;
  readonly loopGuard: LoopGuard;
  readonly addresses: AddressGuard;
  readonly identities: OriginIdentities;
  readonly tls: TlsMemory;
  readonly attribution: Attribution;
  /** The users of the proxy. */
  readonly credentials: CredentialStore;
  readonly sockets: OpenSockets;
  /** True once the proxy is shutting down: exchanges in progress finish, and then their connections close. */
  readonly isDraining: () => boolean;
}
