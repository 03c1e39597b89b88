// The one thing that the proxy serves itself: the revocation list whose address its certificates carry. Clients ask for
// it on the proxy's port, or through the proxy as they ask for anything else.
import { Failure, type Flow } from 'mitm-core';
import type { Authority } from 'mitm-http';

import type { RequestMessage } from '../relay/sides.ts';
import type { Runtime } from '../runtime.ts';

/** Whether a plain request asks for the list. */
export function asksForRevocationList(
  head: Pick<RequestMessage, 'method'>,
  wanted: { readonly target: Authority; readonly path: string },
  flow: Flow,
  runtime: Pick<Runtime, 'loopGuard'>,
): boolean {
  const { crlUrl } = flow.config.tls;
  if (crlUrl === undefined || (head.method !== 'GET' && head.method !== 'HEAD')) return false;
  const { hostname, port, pathname, search } = new URL(crlUrl);
  if (wanted.path !== `${pathname}${search}`) return false;
  const { host, port: askedPort } = wanted.target;
  const isNamed =
    askedPort === Number(port === '' ? 80 : port) && host === hostname.replace(/^\[(.*)\]$/, '$1');
  return isNamed || runtime.loopGuard.isOwn(wanted.target);
}

/** The list as an answer in an origin's place. */
export async function revocationListAnswer(
  runtime: Pick<Runtime, 'certificates' | 'revocationLists'>,
): Promise<Failure> {
  const { der } = await runtime.revocationLists.of(runtime.certificates.ca);
  return new Failure('mitm_http_completed', {
    side: 'internal',
    detail: 'revocation list',
    reply: { status: 200, headers: ['Content-Type', 'application/pkix-crl'], body: der },
  });
}
