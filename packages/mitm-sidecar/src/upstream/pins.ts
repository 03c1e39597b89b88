// Connections that belong to one client connection each, because the origin knows the client by the connection (NTLM,
// Negotiate). Nobody else is ever given one, and none outlives its client.
import type { Http1Outbound } from '../http1/outbound.ts';

export class Pins {
  readonly #ofClient: Map<object, Http1Outbound[]>;

  constructor() {
    this.#ofClient = new Map();
  }

  /** Clients that have such a connection. */
  get clientCount(): number {
    return this.#ofClient.size;
  }

  add(client: object, connection: Http1Outbound): void {
    const own = this.#ofClient.get(client);
    if (own === undefined) this.#ofClient.set(client, [connection]);
    else own.push(connection);
  }

  /** The client's own connection with this key, unless it is busy. */
  find(client: object, key: string): Http1Outbound | undefined {
    return this.#ofClient.get(client)?.find((connection) => connection.key === key && connection.isIdle);
  }

  has(client: object, connection: Http1Outbound): boolean {
    return this.#ofClient.get(client)?.includes(connection) ?? false;
  }

  remove(client: object, connection: Http1Outbound): void {
    const own = this.#ofClient.get(client);
    const at = own?.indexOf(connection) ?? -1;
    if (own === undefined || at === -1) return;
    own.splice(at, 1);
    if (own.length === 0) this.#ofClient.delete(client);
  }

  /** Forgets a client. @returns what it had */
  drop(client: object): readonly Http1Outbound[] {
    const own = this.#ofClient.get(client) ?? [];
    this.#ofClient.delete(client);
    return own;
  }

  /** All that wait for their client's next request. */
  idle(): readonly Http1Outbound[] {
    return [...this.#ofClient.values()].flat().filter((connection) => connection.isIdle);
  }
}
