// Authentication that binds to the connection instead of the request: after its handshake, NTLM (and Negotiate, where it
// falls back to NTLM) lets whatever follows on the connection pass as the same user.
import { H2RequestHead } from 'mitm-http';

import type { RequestMessage, ResponseMessage } from './sides.ts';

const authorization = 'authorization';
const boundScheme = /^(?:ntlm|negotiate)(?:[ \t]|$)/i;
/** In a list of challenges, each scheme stands at the beginning or behind a comma (RFC 9110 §11.6.1). */
const boundChallenge = /(?:^|,)[ \t]*(?:ntlm|negotiate)(?=[ \t,]|$)/i;
/** Numbers per field in `MessageHead.offsets`. */
const STRIDE = 5;

/** Whether a request authenticates its connection. Cuts no strings where no name has the length of the field's. */
export function authenticatesConnection(head: RequestMessage): boolean {
  if (head instanceof H2RequestHead) {
    const { fields } = head;
    for (let i = head.regularFrom; i < fields.length; i += 2)
      if (fields[i] === authorization && boundScheme.test(fields[i + 1] ?? '')) return true;
    return false;
  }
  const { text, offsets } = head;
  for (let i = 0; i < offsets.length; i += STRIDE) {
    const start = offsets[i] ?? 0;
    const end = offsets[i + 1] ?? 0;
    if (end - start !== authorization.length || text.slice(start, end).toLowerCase() !== authorization)
      continue;
    if (boundScheme.test(text.slice(offsets[i + 2], offsets[i + 3]))) return true;
  }
  return false;
}

/** Whether an answer asks the client to authenticate its connection; a 407 is about the way here and doesn't count. */
export function asksForConnectionAuth(head: ResponseMessage): boolean {
  return (
    head.status === 401 && head.headers.getAll('www-authenticate').some((value) => boundChallenge.test(value))
  );
}
