// The proxy of the soak, in a process of its own so that its memory is nobody else's: embedded as a program would, with every hook
// in use. It tells its port and its authority when it listens, and its counts when it has stopped.
import { createMitmProxy, generateCa } from 'soth-mitm';

import type { SoakResult, SoakStart } from './messages.ts';

const [caFile = ''] = process.argv.slice(2);

function pause(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

const ca = await generateCa();
const handle = await createMitmProxy({
  ca,
  handler: {
    shouldInterceptTls: () => true,
    onConnectionOpen: () => {},
    onRequest: async () => {
      await pause();
      return { action: 'allow' };
    },
    onResponse: pause,
    onStreamChunk: pause,
    onWebSocketStart: () => {},
    onStreamEnd: () => {},
    onConnectionClose: pause,
  },
  config: {
    bind: '127.0.0.1:0',
    interception: { destinations: ['*:*'], ignoreHosts: ['127.0.0.1'] },
    upstream: { caPaths: [caFile], trust: 'bundled' },
    connectionPool: { idleTimeoutMs: 2_000 },
  },
}).start();

process.once('message', () => {
  void handle.shutdown(20_000).then(
    () => {
      const result: SoakResult = { metrics: handle.metrics() };
      process.send?.(result, () => process.disconnect());
    },
    (error: unknown) => {
      process.send?.({ error: String(error) } satisfies SoakResult, () => process.exit(1));
    },
  );
});
process.send?.({ port: handle.address.port, ca: ca.certificatePem } satisfies SoakStart);
