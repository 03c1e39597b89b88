// The names of what is spoken on a connection: ours, as they stand in events, and the labels of TLS ALPN.

/** What a flow speaks, as events name it. */
export const applicationProtocols = [
  'http1',
  'http2',
  'websocket',
  'sse',
  'streamable_http',
  'tunnel',
] as const;
/** See {@link applicationProtocols}. */
export type ApplicationProtocol = (typeof applicationProtocols)[number];

/** The ALPN labels that can be mirrored between client and origin, the preferred first (RFC 7301; RFC 9113 §3.2). */
export const alpnProtocols = ['h2', 'http/1.1'] as const;
/** See {@link alpnProtocols}. */
export type AlpnProtocol = (typeof alpnProtocols)[number];

const labelOf = {
  http1: 'http/1.1',
  http2: 'h2',
  websocket: 'http/1.1',
  sse: 'http/1.1',
  streamable_http: 'http/1.1',
  tunnel: undefined,
} as const satisfies Record<ApplicationProtocol, AlpnProtocol | undefined>;

/** The ALPN label under which a protocol is negotiated where HTTP/2 is not already known; none for a tunnel. */
export function alpnLabel(protocol: ApplicationProtocol): AlpnProtocol | undefined {
  return labelOf[protocol];
}

/** What a negotiated label means. `false` and `undefined` are how Node tells that nothing was negotiated: HTTP/1. */
export function protocolOfAlpn(label: string | false | null | undefined): 'http1' | 'http2' | undefined {
  if (label === 'h2') return 'http2';
  return label === 'http/1.1' || label === 'http/1.0' || !label ? 'http1' : undefined;
}
