// Answers as fields for an HTTP/2 client, whichever version they came in.
import {
  forwardedResponseFields,
  H2ResponseHead,
  type HeaderList,
  parseH2Response,
  responseFieldsOf,
  withoutQuicAlternatives,
} from 'mitm-http';

import type { ResponseMessage, ResponseOptions } from '../relay/sides.ts';

/** A final head. Unchanged heads of HTTP/2 give the list they came in. */
export function responseFields(
  head: ResponseMessage,
  options: Pick<ResponseOptions, 'via' | 'dropsQuic'>,
): HeaderList {
  const { via, dropsQuic } = options;
  const fields =
    head instanceof H2ResponseHead
      ? forwardedResponseFields(withoutQuic(head, dropsQuic))
      : withoutQuicFields(responseFieldsOf(head), dropsQuic);
  return via === undefined ? fields : [...fields, 'via', via];
}

/** The head without alternatives over QUIC; itself where there are none. */
export function withoutQuic(head: H2ResponseHead, drops: boolean | undefined): H2ResponseHead {
  const fields = withoutQuicFields(head.fields, drops);
  return fields === head.fields ? head : parseH2Response(fields, head.sensitiveNames);
}

function withoutQuicFields(fields: HeaderList, drops: boolean | undefined): HeaderList {
  if (drops !== true || !fields.includes('alt-svc')) return fields;
  const kept: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? '';
    const value = fields[i + 1] ?? '';
    const said = name === 'alt-svc' ? withoutQuicAlternatives(value) : value;
    if (said !== undefined) kept.push(name, said);
  }
  return kept;
}

/** A 1xx. */
export function interimFields(head: ResponseMessage): HeaderList {
  return responseFields(head, {});
}

/** Which of its fields no table may hold; HTTP/1 has no way to say so. */
export function sensitiveNames(head: ResponseMessage): ReadonlySet<string> | undefined {
  return head instanceof H2ResponseHead ? head.sensitiveNames : undefined;
}
