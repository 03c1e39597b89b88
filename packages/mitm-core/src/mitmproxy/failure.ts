// What mitmproxy's words about a failed handshake mean. It wraps OpenSSL's errors in sentences for people, and some of these speak
// of certificates where none was judged; so the core of the text is taken out before it is classified.
import { classifyTlsText, type TlsFailureReason } from 'mitm-tls';

/** What mitmproxy said, taken apart. */
export interface MitmproxyFailure {
  readonly reason: TlsFailureReason;
  /** `OpenSSL` for its errors, `X509` for a certificate that it refused; undefined for mitmproxy's own findings. */
  readonly errorClass?: 'OpenSSL' | 'X509' | undefined;
  /** In OpenSSL's words, such as `tlsv1 alert unknown ca`. */
  readonly errorCode?: string | undefined;
}

/** Stands in for a failure without a word. It is of no class. */
export const silentFailure = 'TLS failure of which mitmproxy gave no detail';

// OpenSSL's errors as Python shows them: library, function (empty since OpenSSL 3), reason.
const openSslError = /\('(?:[^'\\]|\\.)*', '(?:[^'\\]|\\.)*', '((?:[^'\\]|\\.)*)'\)/g;
const refusedCertificate = /^Certificate verify failed: (.+)$/s;
// What OpenSSL calls a chain that ends in no trusted root, in each of its releases.
const unknownIssuer =
  /self[- ]signed certificate|unable to get (?:local )?issuer certificate|unable to verify the first certificate|certificate not trusted/i;
// mitmproxy's sentences about what it saw itself, by their beginnings.
const sentences: readonly (readonly [RegExp, TlsFailureReason])[] = [
  [/^The client disconnected during the handshake/, 'eof_or_reset'],
  [/^connection closed/, 'eof_or_reset'],
  [/^Cannot parse (?:ClientHello|QUIC)/, 'handshake'],
  [/^The remote server does not speak TLS/, 'handshake'],
  [/^(?:Client|The remote server) and mitmproxy cannot agree on a TLS version/, 'handshake'],
];
// The sentence put around what OpenSSL said of the client's leg.
const aboutClient = /^The client (?:does|may) not trust the proxy's certificate for .*? \((.*)\)$/s;

/** Reads a failure text of mitmproxy 8 or later. */
export function readMitmproxyFailure(text: string): MitmproxyFailure {
  const core = aboutClient.exec(text)?.[1] ?? text;
  const certificateFault = refusedCertificate.exec(core)?.[1];
  if (certificateFault !== undefined) {
    const reason = unknownIssuer.test(certificateFault) ? 'unknown_ca' : 'cert_validation';
    return { reason, errorClass: 'X509', errorCode: certificateFault };
  }
  const errorCode = [...core.matchAll(openSslError)].at(-1)?.[1];
  if (errorCode !== undefined) {
    const reason = classifyTlsText(errorCode);
    // Whatever else OpenSSL complains of is a fault of the protocol.
    return { reason: reason === 'other' ? 'handshake' : reason, errorClass: 'OpenSSL', errorCode };
  }
  const sentence = sentences.find(([pattern]) => pattern.test(core));
  return { reason: sentence?.[1] ?? classifyTlsText(core) };
}
