// TLS sessions of origins for later handshakes, by upstream key; the oldest go first.

const MAX_SESSIONS = 1_024;

export class TlsSessions {
  readonly #byKey: Map<string, Buffer>;

  constructor() {
    this.#byKey = new Map();
  }

  get(key: string): Buffer | undefined {
    return this.#byKey.get(key);
  }

  set(key: string, session: Buffer): void {
    this.#byKey.delete(key);
    this.#byKey.set(key, session);
    if (this.#byKey.size <= MAX_SESSIONS) return;
    const [oldest] = this.#byKey.keys();
    if (oldest !== undefined) this.#byKey.delete(oldest);
  }

  clear(): void {
    this.#byKey.clear();
  }
}
