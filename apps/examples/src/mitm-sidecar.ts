import { once } from 'node:events';
import { createServer, request } from 'node:http';

import { Engine, parseConfig } from 'mitm-core';
import { EventBus, Metrics, silentLogger } from 'mitm-observe';
import { ProxyServer } from 'mitm-sidecar';
import { CertStore, generateCa } from 'mitm-tls';

const origin = createServer((_incoming, response) => response.end('hello from the origin'));
origin.listen(0, '127.0.0.1');
await once(origin, 'listening');
const place = origin.address();
const originPort = place !== null && typeof place === 'object' ? place.port : 0;

// The engine judges and reports; the store makes certificates; the server owns the sockets.
const metrics = new Metrics();
const bus = new EventBus({ metrics });
bus.on('stream_closed', (event) => {
  process.stdout.write(`${event.context.serverHost}: ${event.reasonCode}\n`);
});
const engine = new Engine({
  config: parseConfig({ bind: '127.0.0.1:0', interception: { destinations: ['*:*'] } }),
  handler: {
    onRequest: (seen) => {
      process.stdout.write(`${seen.method} ${seen.scheme}://${seen.authority}${seen.path}\n`);
      return { action: 'allow' };
    },
  },
  bus,
  metrics,
  logger: silentLogger,
});
const server = new ProxyServer({ engine, certificates: await CertStore.create(await generateCa()) });
const { host, port } = await server.listen();

// A client that sends its request to the proxy.
const asked = request({ host, port, path: `http://127.0.0.1:${originPort}/greeting` });
asked.end();
const [answer] = await once(asked, 'response');
let text = '';
for await (const piece of answer.setEncoding('utf8')) text += String(piece);
process.stdout.write(`${text}\n`);

await server.close(5_000);
origin.close();
