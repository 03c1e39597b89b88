// Which version of HTTP is offered to whom in TLS: the origin is offered what the client offered, and the client gets what the
// origin chose, so that neither speaks a version that the other does not have. Bridging lifts that.
import type { AlpnProtocol } from 'mitm-http';

export interface AlpnRules {
  /** HTTP/2 may be spoken, as far as configuration and overrides go. */
  readonly allowsHttp2: boolean;
  /** Each side speaks the newest version it has, whatever the other one speaks. */
  readonly bridges: boolean;
}

const http1Only: readonly AlpnProtocol[] = ['http/1.1'];
const http2Only: readonly AlpnProtocol[] = ['h2'];
const both: readonly AlpnProtocol[] = ['h2', 'http/1.1'];

/** What to offer the origin for a client that offers these names. */
export function offeredUpstream(offered: readonly string[], rules: AlpnRules): readonly AlpnProtocol[] {
  if (!rules.allowsHttp2) return http1Only;
  if (rules.bridges) return both;
  if (!offered.includes('h2')) return http1Only;
  return offered.includes('http/1.1') ? both : http2Only;
}

/**
 * What to agree on with the client: one name, or none where it offered none that fits.
 *
 * @param chosen what the origin chose; undefined when it chose nothing, or could not be reached
 */
export function agreedDownstream(
  offered: readonly string[],
  chosen: string | undefined,
  rules: AlpnRules,
): readonly AlpnProtocol[] {
  if (rules.allowsHttp2 && offered.includes('h2') && (rules.bridges || chosen === 'h2')) return http2Only;
  return chosen === undefined && !rules.bridges ? [] : http1Only;
}

/** What to speak to a client whom an answer of our own explains why its origin can't be reached. */
export function agreedWithoutOrigin(offered: readonly string[]): readonly AlpnProtocol[] {
  return offered.includes('h2') && !offered.includes('http/1.1') ? http2Only : http1Only;
}
