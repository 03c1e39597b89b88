// What the proxy waits for and what can't fail by its contract: none of these promises ever rejects, which the tests of their own rooms
// show. To let them fail would show nothing but that somebody relies on it.

const promises = {
  'mitm-core/src/connection.ts': ['Promise.all(this.#unsettled)'],
  'mitm-core/src/exchange.ts': [
    'this.#ended()',
    'this.#inTime(queue.drain())',
    'Promise.race([done.then(() => true), late])',
  ],
  'mitm-core/src/flow-queue.ts': ['next.call()'],
  'mitm-sidecar/src/connection.ts': [
    'connection.settled()',
    'engine.handler.connectionClosed(connection, flow.config)',
    'engine.handler.streamEnded(flow)',
  ],
  'mitm-sidecar/src/http1/serve.ts': ['relayUpgrade(exchange, inbound, end.upgraded, session)'],
  'mitm-sidecar/src/process/batch.ts': ['sleep(restMs)', 'this.#answer(asked)'],
} as const;

/** The names of such awaits, as the plugin gives them. */
export const neverFails: ReadonlySet<string> = new Set(
  Object.entries(promises).flatMap(([source, texts]) => texts.map((text) => `${source}: await ${text}`)),
);
