// The choice of another protocol: what an origin switches to, and whether the client had asked for it (RFC 9110 §7.8).

import { Failure } from 'mitm-core';
import { ResponseHead } from 'mitm-http';

import type { ResponseMessage } from './sides.ts';

/** The protocols that a 101 names, joined by commas; '' for none, as in HTTP/2, which has no 101. */
export function chosenProtocol(head: ResponseMessage): string {
  return head instanceof ResponseHead ? head.upgrade : '';
}

/** Whether one of the protocols in a 101 is one that the client asked for. */
export function isOffered(offered: string, chosen: string): boolean {
  if (chosen === '') return false;
  const names = offered.split(',').map((name) => name.trim());
  return chosen.split(',').every((name) => names.includes(name.trim()));
}

/** The failure of an origin that switches to what nobody asked for. */
export function unaskedSwitch(head: ResponseMessage): Failure {
  const chosen = chosenProtocol(head);
  return new Failure('mitm_http_error', {
    side: 'upstream',
    detail: `101 to ${chosen === '' ? 'no protocol' : chosen}, which was not asked for`,
    reply: { status: 502, body: 'the origin switched to a protocol that was not asked for\n' },
  });
}
