// Origins and the clients that ask them through a proxy, in a process of their own: the proxy's process has then nothing else to do.
import { createLabAuthority } from '../lab/certificates.ts';
import { KeepAliveClient, type KeptAnswer } from '../lab/keep-alive-client.ts';
import { type OriginHandler, startHttpOrigin, startHttpsOrigin } from '../lab/origins.ts';
import type { LoadKind, LoadOrder, LoadReady, LoadResult } from './messages.ts';

/** An origin that says which one it is, and what it was told of the way. */
function namedOrigin(name: string): OriginHandler {
  return (seen, response) => {
    const via = seen.rawHeaders[seen.rawHeaders.indexOf('Via') + 1];
    const body = `${name} via ${seen.rawHeaders.includes('Via') ? via : 'nobody'}`;
    response.writeHead(200, { 'Content-Length': body.length, 'Alt-Svc': 'h3=":443"' }).end(body);
  };
}

/** Takes its time now and then, so that answers are outstanding at any moment. */
const unhurried: OriginHandler = (seen, response) => {
  const body = `answer to ${seen.url}`;
  const answer = (): void => void response.writeHead(200, { 'content-length': body.length }).end(body);
  if (seen.url.endsWith('0')) setTimeout(answer, 60);
  else answer();
};

/** The origin that was reached, and the name in `Via` on both ways. */
function plainTraces({ body, head }: KeptAnswer): string {
  const told = /^(?<origin>\w+) via 1\.1 (?<via>\w+)$/.exec(body)?.groups;
  const answered = /\r\nvia: 1\.1 (?<via>\w+)/i.exec(head)?.groups?.['via'];
  return [...new Set([told?.['origin'], told?.['via'], answered])].join(' and ');
}

/** The origin that was reached, and whether `Alt-Svc` was kept. */
function interceptedTraces({ body, head }: KeptAnswer): string {
  const kept = /\r\nalt-svc: /i.test(head) ? 'one' : 'two';
  return [...new Set([body.split(' ')[0], kept])].join(' and ');
}

/** Lets so many go a second, in even steps; whoever is late goes at once. */
class Pace {
  readonly #stepMs: number;
  readonly #beganMs = performance.now();
  #count = 0;

  constructor(rate: number) {
    this.#stepMs = 1_000 / rate;
  }

  async turn(): Promise<void> {
    const dueMs = this.#beganMs + this.#count * this.#stepMs;
    this.#count += 1;
    const waitMs = dueMs - performance.now();
    if (waitMs > 1) await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
}

class Load {
  readonly #kind: LoadKind;
  readonly #order: LoadOrder;
  readonly #authority: string;
  readonly #pace: Pace;
  readonly #endsAtMs: number;
  readonly #unanswered: string[] = [];
  readonly #traces: Record<string, number> = {};
  #answeredCount = 0;
  #failedCount = 0;

  constructor(kind: LoadKind, order: LoadOrder, authority: string) {
    this.#kind = kind;
    this.#order = order;
    this.#authority = authority;
    this.#pace = new Pace(order.rate);
    this.#endsAtMs = performance.now() + (order.forMs ?? Number.POSITIVE_INFINITY);
  }

  async run(): Promise<LoadResult> {
    await Promise.all(Array.from({ length: this.#order.clientCount }, (_, index) => this.#work(index)));
    return {
      answeredCount: this.#answeredCount,
      failedCount: this.#failedCount,
      unanswered: this.#unanswered,
      traces: this.#traces,
    };
  }

  get #isOver(): boolean {
    return performance.now() >= this.#endsAtMs;
  }

  /** Asks on one connection after the other, some of them kept for long, until its time is over or nobody takes a connection. */
  async #work(index: number): Promise<void> {
    for (let turn = 0; !this.#isOver; turn += 1) {
      const client = await this.#dial().catch(() => undefined);
      if (client === undefined) return;
      const requestCount = (index + turn) % 3 === 0 ? 3 : 200;
      for (let sent = 0; sent < requestCount && client.isOpen && !this.#isOver; sent += 1) {
        await this.#pace.turn();
        if (!(await this.#ask(client, `/${index}/${turn}/${sent}`))) break;
      }
      await client.close();
    }
  }

  /** Asks once; false when the connection takes no further request. */
  async #ask(client: KeepAliveClient, path: string): Promise<boolean> {
    const answer = await client.ask(path);
    if (answer === undefined) {
      this.#unanswered.push(path);
      return false;
    }
    this.#answeredCount += 1;
    if (!answer.head.startsWith('HTTP/1.1 200 ')) this.#failedCount += 1;
    const seen = this.#kind.lane === 'plain' ? plainTraces(answer) : interceptedTraces(answer);
    this.#traces[seen] = (this.#traces[seen] ?? 0) + 1;
    return !/\r\nconnection: close/i.test(answer.head);
  }

  #dial(): Promise<KeepAliveClient> {
    const { proxyPort, proxyCa: ca } = this.#order;
    const authority = this.#authority;
    return this.#kind.lane === 'plain'
      ? KeepAliveClient.dialPlain({ proxyPort, authority })
      : KeepAliveClient.dial({ proxyPort, authority, ca });
  }
}

const [lane, kindOfOrigins] = process.argv.slice(2);
const kind: LoadKind = {
  lane: lane === 'tls' ? 'tls' : 'plain',
  origins: kindOfOrigins === 'named' ? 'named' : 'unhurried',
};
const authority = await createLabAuthority();
const handlers = kind.origins === 'named' ? ['one', 'two'].map(namedOrigin) : [unhurried];
const origins = await Promise.all(
  handlers.map((handler) =>
    kind.lane === 'tls' ? startHttpsOrigin({ authority, handler }) : startHttpOrigin(handler),
  ),
);
process.once('message', (order: LoadOrder) => {
  void new Load(kind, order, `localhost:${origins[0]?.port}`).run().then(async (result) => {
    for (const origin of origins) await origin[Symbol.asyncDispose]();
    await authority[Symbol.asyncDispose]();
    process.send?.(result, () => process.disconnect());
  });
});
const ready: LoadReady = { ports: origins.map(({ port }) => port), caFile: await authority.caFile() };
process.send?.(ready);
