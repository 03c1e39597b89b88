// The users of the proxy: whether a name and a password belong together. The answer takes as long for a name that is known as
// for one that is not, and nothing of a password is kept but a keyed hash.
import { isUtf8 } from 'node:buffer';
import { hash, randomBytes, timingSafeEqual } from 'node:crypto';

import type { ProxyAuthenticationConfig } from 'mitm-core';

interface KnownUser {
  readonly username: string;
  readonly digest: Buffer;
}

const basicScheme = /^basic +(?<token>[\w+/.~-]+=*) *$/i;

export class Credentials {
  readonly #key: string;
  readonly #users: readonly KnownUser[];

  constructor({ users }: Pick<ProxyAuthenticationConfig, 'users'>) {
    this.#key = randomBytes(32).toString('hex');
    this.#users = users.map(({ username, password }) => ({
      username,
      digest: this.#digestOf(username, password),
    }));
  }

  /** Nobody has to name a user. */
  get isEmpty(): boolean {
    return this.#users.length === 0;
  }

  /** The user that a name and a password belong to. */
  find(username: string, password: string): string | undefined {
    const given = this.#digestOf(username, password);
    let found: string | undefined;
    // Every user is looked at, so that the time tells nothing.
    for (const known of this.#users) if (timingSafeEqual(given, known.digest)) found = known.username;
    return found;
  }

  /** The user that the value of a Proxy-Authorization field in the scheme Basic belongs to (RFC 7617 §2). */
  findBasic(value: string): string | undefined {
    const token = basicScheme.exec(value)?.groups?.['token'];
    const bytes = Buffer.from(token ?? '', 'base64');
    const text = bytes.toString(isUtf8(bytes) ? 'utf8' : 'latin1');
    const colon = text.indexOf(':');
    // Compared all the same: what can't be read takes as long as what is wrong.
    const user = this.find(text.slice(0, Math.max(colon, 0)), text.slice(colon + 1));
    return token === undefined || colon < 0 ? undefined : user;
  }

  #digestOf(username: string, password: string): Buffer {
    // A name has no NUL, so that no other pair reads the same.
    return hash('sha256', `${this.#key}${username}\0${password}`, 'buffer');
  }
}

/** The users of every configuration that is still in use. */
export class CredentialStore {
  readonly #made: WeakMap<object, Credentials>;

  constructor() {
    this.#made = new WeakMap();
  }

  of(config: ProxyAuthenticationConfig): Credentials {
    const known = this.#made.get(config);
    if (known !== undefined) return known;
    const credentials = new Credentials(config);
    this.#made.set(config, credentials);
    return credentials;
  }
}
