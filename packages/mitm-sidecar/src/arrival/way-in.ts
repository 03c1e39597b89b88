// One way for clients to come in, as a listener offers it: what its clients speak, whom it asks for a password, and what
// comes before the first request.
import type { Duplex } from 'node:stream';
import type { SecureContext } from 'node:tls';

import type { ListenerKind, SocketEndpoint } from 'mitm-core';

import type { AddressRanges } from './address-ranges.ts';

export interface WayIn {
  readonly kind: ListenerKind;
  readonly requiresAuthentication: boolean;
  /** Who begins with a PROXY protocol header. */
  readonly forwarders: AddressRanges | undefined;
  /** What the proxy itself is spoken to with, over TLS. */
  readonly tls: (() => Promise<SecureContext>) | undefined;
  /** Where TLS clients of kind `direct` are connected to. */
  readonly targetPort: number;
  /** Which address the client of a redirected connection had dialled; undefined where the system knows of none. */
  readonly originalTarget: ((socket: Duplex) => SocketEndpoint | undefined) | undefined;
}

/** A plain proxy listener. */
export const plainWayIn: WayIn = Object.freeze({
  kind: 'proxy',
  requiresAuthentication: true,
  forwarders: undefined,
  tls: undefined,
  targetPort: 443,
  originalTarget: undefined,
});
