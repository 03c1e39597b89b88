// What a handler may answer when it is asked for a route, and how such an answer is read: callers without types can return
// anything, and nothing else must ever be dialled.
import { issueText, problemsOf } from './config/problem.ts';
import { anyProxySchema } from './config/proxies.ts';
import { nextProxy } from './next-proxy.ts';
import type { RouteChoice } from './route.ts';

/** A proxy that a handler describes itself. */
export interface RouteProxy {
  readonly type: 'http' | 'socks5';
  /** A name or an IP address. */
  readonly host: string;
  /** 1–65535. */
  readonly port: number;
  /** Speak TLS with the proxy itself; only for `http`. */
  readonly tls?: boolean;
  /** Given only together with `password`. */
  readonly username?: string;
  readonly password?: string;
}

/**
 * The answer of `resolveRoute`: `direct` for the target itself, the name of one of `upstreamProxies`, or a proxy. Undefined
 * leaves the choice to the configuration.
 */
export type RouteAnswer = 'direct' | (string & {}) | RouteProxy | undefined;

/** An answer that can't be used; the message says why, and no password is in it. */
export class RouteAnswerError extends Error {
  override readonly name = 'RouteAnswerError';
}

/**
 * Reads an answer.
 *
 * @param hasWay whether a way of this name exists
 * @throws RouteAnswerError
 */
export function readRouteAnswer(answer: unknown, hasWay: (name: string) => boolean): RouteChoice | undefined {
  if (answer === undefined) return undefined;
  if (typeof answer === 'string') {
    if (hasWay(answer)) return answer;
    throw new RouteAnswerError(
      `${JSON.stringify(answer)} is neither direct nor the name of an upstream proxy`,
    );
  }
  const result = anyProxySchema.safeParse(answer, { error: issueText });
  if (result.success) return nextProxy(result.data.type, result.data, 'resolveRoute');
  const problems = problemsOf(result.error.issues).map(({ path, message }) =>
    path === '' ? message : `${path}: ${message}`,
  );
  throw new RouteAnswerError(`is no proxy: ${problems.join('; ')}`);
}
