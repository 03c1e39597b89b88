// How the server name that a client asks for stands to the target of its connection. Each case has its rule: the certificate made for
// the client carries both names, the origin is asked for the one in the hello, or else for the target, and must prove that one.
import { isIP } from 'node:net';

import type { SniRelation } from 'mitm-observe';
import type { ClientHello } from 'mitm-tls';

/** The type of the server_name extension (RFC 6066 §3). */
const serverNameExtension = 0;

/** Compares the name in a hello with the canonical host of a CONNECT. */
export function sniRelation(hello: Pick<ClientHello, 'sni' | 'extensions'>, host: string): SniRelation {
  if (hello.sni === undefined) return hello.extensions.includes(serverNameExtension) ? 'invalid' : 'absent';
  if (hello.sni === host) return 'match';
  return isIP(host) === 0 ? 'mismatch' : 'names_address';
}
