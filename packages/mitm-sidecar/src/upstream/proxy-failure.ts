// What a client is told when the proxy on the way to its target does not let it through: which proxy said no, and what would
// help. Addresses and passwords stay out of it.
import { Failure, type NextProxy } from 'mitm-core';

/** Why a next proxy did not let us through. */
export interface ProxyFault {
  /** For events and logs. */
  readonly detail: string;
  /** For the client: what the next proxy did, as the end of a sentence. */
  readonly sentence: string;
  /** Time ran out: 504 instead of 502. */
  readonly isTimeout?: boolean;
  /** The way leads back to where it began: 508 (RFC 5842 §7.2). */
  readonly isLoop?: boolean;
  /** The next proxy hung up: it may not do so again. */
  readonly isLost?: boolean;
  readonly cause?: unknown;
}

/** The failure of a greeting: closes as `upstream_connect_failed`. */
export function proxyFailure(proxy: NextProxy, host: string, fault: ProxyFault): Failure {
  const mode = proxy.type === 'http' ? 'upstream_http' : 'upstream_socks5';
  const code =
    fault.isLost === true ? 'ECONNRESET' : fault.isTimeout === true ? 'ETIMEDOUT' : 'ERR_NEXT_PROXY';
  return new Failure('upstream_connect_failed', {
    side: 'upstream',
    detail: `upstream_connect_failed[${mode}]: ${fault.detail}`,
    reply: {
      status: fault.isLoop === true ? 508 : fault.isTimeout === true ? 504 : 502,
      body: `the proxy could not reach ${host}: the next proxy ${fault.sentence}\n`,
    },
    cause: fault.cause ?? Object.assign(new Error(fault.detail), { code }),
  });
}

/** No answer within the time that a greeting has. */
export function greetingTimedOut(stage: string, timeoutMs: number): ProxyFault {
  return {
    detail: `stream_stage_timeout:${stage}:${timeoutMs}ms`,
    sentence: 'did not answer in time',
    isTimeout: true,
  };
}

/** The connection ended inside a greeting. */
export function greetingCutShort(stage: string, error: Error | undefined): ProxyFault {
  return {
    detail: `the next proxy ended the connection: ${stage}${error === undefined ? '' : ` (${error.message})`}`,
    sentence: 'ended the connection',
    isLost: true,
  };
}

/**
 * A next proxy that asks who we are (RFC 9110 §15.5.8): what is missing, or what it did not take.
 *
 * @param challenge its Proxy-Authenticate field
 */
export function credentialsFault(proxy: NextProxy, challenge: string | undefined): ProxyFault {
  const schemes = [
    ...(challenge ?? '').matchAll(/(?:^|,)\s*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)(?=\s+[^\s=,]|\s*(?:,|$))/g),
  ]
    .map(([, scheme = '']) => scheme)
    .filter((scheme) => scheme !== '');
  const asked = schemes.length === 0 ? 'credentials' : schemes.join(', ');
  if (schemes.length > 0 && !schemes.some((scheme) => scheme.toLowerCase() === 'basic')) {
    return {
      detail: `407: the next proxy asks for ${asked}, and only Basic is spoken here`,
      sentence: `asks for ${asked} (407), and only Basic can be sent: let it take Basic, or use another way`,
    };
  }
  if (proxy.credentials !== undefined) {
    return {
      detail: `407: the next proxy did not accept the credentials of ${proxy.source}`,
      sentence: `did not accept the user name and password of ${proxy.source} (407)`,
    };
  }
  return {
    detail: `407: the next proxy asks for ${asked}, and ${proxy.source} has none`,
    sentence: `asks for a user name and password (407): set username and password of ${proxy.source}`,
  };
}
