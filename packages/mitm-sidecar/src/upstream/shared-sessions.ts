// The HTTP/2 connections to origins that take new streams, by upstream key. Exchanges of all clients share them, but for those
// that a client has authenticated: they are its alone.
import type { Http2UpstreamSession } from '../http2/upstream-session.ts';

export class SharedSessions {
  readonly #byKey: Map<string, Http2UpstreamSession[]>;
  /** Also those that take no new streams any more. */
  readonly #all: Set<Http2UpstreamSession>;

  constructor() {
    this.#byKey = new Map();
    this.#all = new Set();
  }

  add(session: Http2UpstreamSession): void {
    this.#all.add(session);
    const sessions = this.#byKey.get(session.key);
    if (sessions === undefined) this.#byKey.set(session.key, [session]);
    else sessions.push(session);
  }

  /** It takes no new streams from now on. */
  retire(session: Http2UpstreamSession): void {
    const sessions = this.#byKey.get(session.key);
    const at = sessions?.indexOf(session) ?? -1;
    if (sessions === undefined || at === -1) return;
    sessions.splice(at, 1);
    if (sessions.length === 0) this.#byKey.delete(session.key);
  }

  /** The connection is gone. @returns false when it was not here */
  remove(session: Http2UpstreamSession): boolean {
    this.retire(session);
    return this.#all.delete(session);
  }

  /** One on which this client can open a stream now: its own where it has one. */
  find(key: string, client: object): Http2UpstreamSession | undefined {
    const sessions = this.#byKey.get(key);
    if (sessions === undefined) return undefined;
    let found: Http2UpstreamSession | undefined;
    for (const session of sessions) {
      if (!session.hasRoom || !session.isFor(client)) continue;
      if (session.soleUser === client) return session;
      found ??= session;
    }
    return found;
  }

  /** One without a stream. */
  idle(key: string): Http2UpstreamSession | undefined {
    return this.#byKey.get(key)?.find((session) => session.isIdle);
  }

  /** One that is, or can become, this client's alone. */
  claim(key: string, client: object): Http2UpstreamSession | undefined {
    return this.#byKey.get(key)?.find((session) => session.hasRoom && session.claim(client));
  }

  /** True while the origin is known to speak HTTP/2: it has a connection for anybody, with room or without. */
  has(key: string): boolean {
    return (
      this.#byKey.get(key)?.some((session) => session.isUsable && session.soleUser === undefined) ?? false
    );
  }

  /** Every connection, also those that take no new streams. */
  all(): readonly Http2UpstreamSession[] {
    return [...this.#all];
  }
}
