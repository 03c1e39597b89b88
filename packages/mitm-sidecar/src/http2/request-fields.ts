// Requests as fields for an HTTP/2 origin, whichever version they came in.
import { forwardedRequestFields, H2RequestHead, type HeaderList, requestFieldsOf } from 'mitm-http';

import type { OutboundRequest } from '../relay/sides.ts';

/** The fields to send. An unchanged head of HTTP/2 gives the list it came in. */
export function requestFields(request: OutboundRequest): HeaderList {
  const { head, dropExpect, via, maxForwards } = request;
  const fields =
    head instanceof H2RequestHead
      ? forwardedRequestFields(head, { dropExpect })
      : requestFieldsOf(head, {
          scheme: request.scheme,
          authority: request.host ?? head.host ?? request.authority,
          path: request.target,
          dropExpect,
        });
  if (via === undefined && maxForwards === undefined) return fields;
  const changed = fields.map((text, index) =>
    maxForwards !== undefined && index % 2 === 1 && fields[index - 1] === 'max-forwards'
      ? String(maxForwards)
      : text,
  );
  if (via !== undefined) changed.push('via', via);
  return changed;
}
