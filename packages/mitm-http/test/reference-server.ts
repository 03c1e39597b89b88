// What Node's own HTTP server makes of some bytes: llhttp in its strict default, on a connection in memory.
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

import { linkedPair } from '../../../testing/lab/linked-pair.ts';

/** The first message as it was understood, or why there is none. */
export type Verdict =
  | { readonly isAccepted: true; readonly method: string; readonly target: string; readonly body: string }
  | { readonly isAccepted: false; readonly code: string };

// In memory everything arrives within a few turns; what has not by then waits for bytes that do not come.
const patienceTurns = 20;

/** One server for many messages, each on a connection of its own, one after the other. */
export class ReferenceServer {
  #verdict: Verdict | undefined = undefined;
  #first: IncomingMessage | undefined = undefined;
  #connection: Duplex | undefined = undefined;
  // The rule about a missing Host is applied below: Node answers by itself there and goes on to the next request.
  readonly #server = createServer({ requireHostHeader: false }, (request, response) =>
    this.#serve(request, response),
  );

  constructor() {
    this.#server.on('checkExpectation', (request: IncomingMessage) => {
      this.#first ??= request;
      if (this.#first === request) this.#refuse('expectation');
    });
    this.#server.on('clientError', (error: Error & { code?: string }, socket) => {
      if (socket !== this.#connection) return;
      // An error behind a complete first message is about the next one.
      if (this.#first?.complete === true) return;
      this.#refuse(error.code ?? error.message);
      socket.destroy();
    });
  }

  async read(bytes: Buffer): Promise<Verdict> {
    this.#verdict = undefined;
    this.#first = undefined;
    const [client, connection] = linkedPair();
    this.#connection = connection;
    this.#server.emit('connection', connection);
    client.resume();
    client.write(bytes);
    for (let turn = 0; turn < patienceTurns && this.#verdict === undefined; turn += 1) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    const verdict: Verdict = this.#verdict ?? { isAccepted: false, code: 'incomplete' };
    client.destroy();
    connection.destroy();
    return verdict;
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    this.#first ??= request;
    if (this.#first !== request) return;
    if (request.httpVersion === '1.1' && request.headers.host === undefined) {
      this.#refuse('host');
      return;
    }
    const { method = '', url: target = '' } = request;
    let body = '';
    request.setEncoding('latin1');
    request.on('data', (piece: string) => (body += piece));
    request.on('end', () => {
      if (this.#first === request) this.#verdict ??= { isAccepted: true, method, target, body };
      response.end();
    });
    // A request that is left incomplete fails when its connection is taken away, which may be after the next one began.
    request.on('error', (error) => {
      if (this.#first === request) this.#refuse(error.message);
    });
  }

  #refuse(code: string): void {
    this.#verdict ??= { isAccepted: false, code };
  }
}
