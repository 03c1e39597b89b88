// A handler that writes down which of its hooks were called for what, behaves as badly as its mood says, and afterwards knows
// whether each was called exactly as often, and in such an order, as is promised.
import { allow, block, type ConnectionId, type HandlerDecision, type InterceptHandler } from 'soth-mitm';

import type { Random } from './random.ts';

/** `faulty` hooks throw, reject, or never answer, now and then. */
export const moods = ['absent', 'prompt', 'slow', 'blocking', 'faulty'] as const;
export type Mood = (typeof moods)[number];

interface SeenConnection {
  openCount: number;
  closeCount: number;
}

export class Witness {
  readonly mood: Mood;
  readonly #random: Random;
  readonly #connections = new Map<ConnectionId, SeenConnection>();
  readonly #ended = new Map<number, number>();
  readonly complaints: string[] = [];
  callCount = 0;

  constructor(mood: Mood, random: Random) {
    this.mood = mood;
    this.#random = random;
  }

  get handler(): InterceptHandler {
    if (this.mood === 'absent') return {};
    return {
      shouldInterceptTls: () => this.#answer(true),
      onTlsFailure: () => this.#answer(undefined),
      onConnectionOpen: ({ connectionId }) => {
        this.#connection(connectionId).openCount += 1;
        return this.#answer(undefined);
      },
      onRequest: ({ connectionMeta }) => {
        this.#during(connectionMeta.connectionId, 'onRequest');
        return this.#answer(this.#decision());
      },
      onResponse: ({ connectionMeta }) => {
        this.#during(connectionMeta.connectionId, 'onResponse');
        return this.#answer(undefined);
      },
      onWebSocketStart: ({ connectionMeta }) => {
        this.#during(connectionMeta.connectionId, 'onWebSocketStart');
        return this.#answer(undefined);
      },
      onStreamChunk: ({ connectionId, flowId }) => {
        this.#during(connectionId, 'onStreamChunk');
        if (this.#ended.has(flowId)) this.complaints.push(`a chunk of flow ${flowId} came after its end`);
        return this.#answer(undefined);
      },
      onStreamEnd: (connectionId, flowId) => {
        this.#during(connectionId, 'onStreamEnd');
        this.#ended.set(flowId, (this.#ended.get(flowId) ?? 0) + 1);
        return this.#answer(undefined);
      },
      onConnectionClose: (connectionId) => {
        this.#connection(connectionId).closeCount += 1;
        return this.#answer(undefined);
      },
    };
  }

  /** What was wrong, once the proxy is through. @param flowIds all flows that were closed */
  verdict(flowIds: readonly number[], connectionCount: number): readonly string[] {
    if (this.mood === 'absent') return [];
    const wrong = [...this.complaints];
    for (const [id, { openCount, closeCount }] of this.#connections) {
      if (openCount !== 1) wrong.push(`onConnectionOpen ran ${openCount} times for ${id}`);
      if (closeCount !== 1) wrong.push(`onConnectionClose ran ${closeCount} times for ${id}`);
    }
    if (this.#connections.size !== connectionCount)
      wrong.push(`hooks of ${this.#connections.size} connections, of ${connectionCount} accepted ones`);
    for (const flowId of flowIds) {
      const count = this.#ended.get(flowId) ?? 0;
      if (count !== 1) wrong.push(`onStreamEnd ran ${count} times for flow ${flowId}`);
    }
    if (this.#ended.size !== flowIds.length)
      wrong.push(`onStreamEnd of ${this.#ended.size} flows, of ${flowIds.length} closed ones`);
    return wrong;
  }

  #connection(id: ConnectionId): SeenConnection {
    let seen = this.#connections.get(id);
    if (seen === undefined) {
      seen = { openCount: 0, closeCount: 0 };
      this.#connections.set(id, seen);
    }
    return seen;
  }

  #during(id: ConnectionId, hook: string): void {
    const { openCount, closeCount } = this.#connection(id);
    if (openCount === 0) this.complaints.push(`${hook} came before onConnectionOpen`);
    if (closeCount > 0) this.complaints.push(`${hook} came after onConnectionClose`);
  }

  #decision(): HandlerDecision {
    if (this.mood !== 'blocking' || this.#random.percent(60)) return allow;
    return block(403, 'not today\n');
  }

  #answer<T>(value: T): T | Promise<T> {
    this.callCount += 1;
    if (this.mood === 'prompt') return value;
    const choice = this.#random.below(10);
    if (this.mood === 'faulty') {
      if (choice === 0) throw new Error('a hook threw');
      if (choice === 1) return Promise.reject(new Error('a hook rejected'));
      if (choice === 2) return new Promise(() => {});
      if (choice === 3) return later(3).then(() => Promise.reject(new Error('a hook rejected late')));
    }
    return choice < 6 ? value : later(this.#random.below(8)).then(() => value);
  }
}

function later(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
