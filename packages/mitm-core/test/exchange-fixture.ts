// What the tests of one exchange share: a handler that remembers what it is shown, and an answer that is relayed whole.
import type { Exchange } from '../src/exchange.ts';
import { allow, type InterceptHandler } from '../src/handler.ts';
import type { RawRequest, RawResponse } from '../src/messages.ts';
import { responseFacts } from './engine-fixture.ts';

export const body = Buffer.from('hello world');
export const json = ['Content-Type', 'application/json'];

export interface Seen {
  readonly requests: RawRequest[];
  readonly responses: RawResponse[];
  /** The names of the hooks, in the order in which they were called. */
  readonly order: string[];
  readonly handler: InterceptHandler;
}

/** A handler that remembers what it is shown and allows everything. */
export function watcher(): Seen {
  const requests: RawRequest[] = [];
  const responses: RawResponse[] = [];
  const order: string[] = [];
  const handler: InterceptHandler = {
    onRequest: (request) => {
      order.push('request');
      requests.push(request);
      return allow;
    },
    onResponse: (response) => {
      order.push('response');
      responses.push(response);
    },
    onStreamEnd: () => void order.push('end'),
  };
  return { requests, responses, order, handler };
}

/** Relays an answer whole: head, the pieces of its body, end, close. */
export function answer(exchange: Exchange, headers: readonly string[], ...pieces: readonly Buffer[]): void {
  exchange.responseHead(responseFacts(headers));
  for (const piece of pieces) exchange.responsePiece(piece);
  exchange.responseEnded();
  exchange.close('mitm_http_completed');
}

export const settled = (exchange: Exchange): Promise<void> => exchange.flow.connection.settled();
