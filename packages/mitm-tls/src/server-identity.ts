// Whether a certificate is for the host that was dialled. Node's own rules decide (RFC 9525); only addresses of IPv6 are looked at here
// first, since some releases of Node 22 find none in any certificate.
import { X509Certificate } from 'node:crypto';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';

import { isIpAddress } from './server-name.ts';

/**
 * Checks the names of a peer's certificate.
 *
 * @param host a host name, or an address without brackets
 * @returns what is wrong, as Node's `checkServerIdentity` does; undefined where the certificate is for the host
 */
export function identityError(
  host: string,
  certificate: Pick<PeerCertificate, 'raw' | 'subject' | 'subjectaltname'>,
): Error | undefined {
  const isIpv6 = host.includes(':') && !host.startsWith('[') && isIpAddress(host);
  if (isIpv6 && new X509Certificate(certificate.raw).checkIP(host) !== undefined) return undefined;
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it reads the two fields that are there
  return checkServerIdentity(host, certificate as PeerCertificate);
}
