// Asks HTTP clients of the proxy who they are, where the configuration has users.
import { Failure, type Flow } from 'mitm-core';
import type { HeaderMap } from 'mitm-http';

import type { Runtime } from '../runtime.ts';
import type { Session } from '../session.ts';
import type { WayIn } from './way-in.ts';

/** Whether clients that come in this way have to name a user. */
export function asksForUser(flow: Flow, { kind, requiresAuthentication }: WayIn): boolean {
  // The clients of the other kinds do not know that there is a proxy.
  const canAnswer = kind === 'proxy' || kind === 'socks5';
  return requiresAuthentication && canAnswer && flow.config.proxyAuthentication.users.length > 0;
}

/** Checks the users of one connection's requests, each of which brings its own credentials. */
export class UserCheck {
  readonly #runtime: Runtime;
  readonly #wayIn: WayIn;
  #lastValue: string | undefined;
  #lastUser: string | undefined;

  constructor(runtime: Runtime, { wayIn }: Session) {
    this.#runtime = runtime;
    this.#wayIn = wayIn;
    this.#lastValue = undefined;
    this.#lastUser = undefined;
  }

  /**
   * Names the flow's user by the fields of its request.
   *
   * @throws Failure `authentication_failed` with a 407 for missing or wrong credentials
   */
  require(flow: Flow, headers: HeaderMap): void {
    if (!asksForUser(flow, this.#wayIn)) return;
    const { proxyAuthentication } = flow.config;
    const values = headers.getAll('proxy-authorization');
    const [value] = values;
    if (value === undefined || values.length > 1)
      throw refusal(
        proxyAuthentication.realm,
        value === undefined ? 'no credentials' : 'several credentials',
      );
    if (value !== this.#lastValue) {
      const user = this.#runtime.credentials.of(proxyAuthentication).findBasic(value);
      if (user === undefined) throw refusal(proxyAuthentication.realm, 'wrong credentials');
      this.#lastUser = user;
      // Clients repeat their credentials from request to request: what was right once is not hashed again.
      this.#lastValue = value;
    }
    flow.user = this.#lastUser;
  }
}

function refusal(realm: string, detail: string): Failure {
  return new Failure('authentication_failed', {
    side: 'client',
    detail,
    reply: {
      status: 407,
      headers: ['Proxy-Authenticate', `Basic realm="${realm}", charset="UTF-8"`],
      body: 'this proxy asks for a user name and a password\n',
    },
  });
}
