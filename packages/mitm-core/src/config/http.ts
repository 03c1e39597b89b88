// Configuration of the HTTP versions: what is offered to clients, what may switch version, and how large heads may be.
import { z } from 'zod';

import { bytes, mebibyte } from './field.ts';

/** What happens to the `Alt-Svc` field of an answer (RFC 7838). */
export const altSvcModes = ['keep', 'strip'] as const;
export type AltSvcMode = (typeof altSvcModes)[number];

export const httpFields = {
  http2Enabled: z
    .boolean()
    .default(true)
    .describe('Offer HTTP/2 on both legs. With false, clients and origins are only offered HTTP/1.1.'),
  http2MaxHeaderListSize: bytes(16 * mebibyte)
    .default(65_536)
    .describe('Largest header list of an HTTP/2 message, in bytes as RFC 9113 section 6.5.2 counts them.'),
  http2Bridge: z
    .boolean()
    .default(false)
    .describe(
      'Speak HTTP/2 with the client although the origin only speaks HTTP/1.1, and the other way round. With false, the client is answered in the version that the origin chose. An upgrade, such as to WebSocket, goes to the origin in HTTP/1.1 in either case, and a WebSocket of an HTTP/2 client goes on as HTTP/2 only.',
    ),
  http3Passthrough: z
    .boolean()
    .default(false)
    .describe(
      'Tunnel a CONNECT that carries an HTTP/3 hint header instead of intercepting it. Any client can send such a header, so true lets clients opt out of interception.',
    ),
  altSvc: z
    .enum(altSvcModes)
    .default('strip')
    .describe(
      'What happens to an `Alt-Svc` field of an intercepted answer. `strip` removes its `h3` and `quic` alternatives, which would lead clients past the proxy; `keep` passes it on unchanged.',
    ),
  via: z
    .string()
    .regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/, 'must be a token, such as a host name without a port')
    .optional()
    .describe(
      'Name under which the proxy enters itself into the `Via` field of plain proxy requests and of their answers. Without it, no `Via` is written, except towards another HTTP proxy, where a name made up for this process tells what comes back. Intercepted messages never carry one.',
    ),
  maxHttpHeadBytes: bytes(16 * mebibyte)
    .default(65_536)
    .describe('Largest head or trailer section of an HTTP/1 message after the first head, in bytes.'),
};
