import { block, Connection, Engine, Exchange, isPromise, parseConfig } from 'mitm-core';
import { HeaderMap } from 'mitm-http';
import { EventBus, EventRecorder, Metrics, silentLogger } from 'mitm-observe';

const metrics = new Metrics();
const bus = new EventBus({ metrics });
const recorder = new EventRecorder();
bus.subscribe(recorder);

const engine = new Engine({
  config: parseConfig({ interception: { destinations: ['api.example.org:443'] } }),
  handler: {
    onRequest: (request) => block(403, `no ${request.method} to ${request.authority}\n`),
    onStreamEnd: (_connectionId, flowId) => void process.stdout.write(`flow ${flowId} has ended\n`),
  },
  bus,
  metrics,
  logger: silentLogger,
});

// A connection's own flow: its target is judged by the configured destinations.
const target = { host: 'api.example.org', port: 443 };
const flow = engine.openFlow({
  connection: new Connection({
    kind: 'tcp_v4',
    local: { address: '127.0.0.1', port: 8080 },
    remote: { address: '127.0.0.1', port: 50_000 },
  }),
});
flow.nameTarget(target);
flow.emit('connect_received', {});
flow.decision = engine.decide(target);
const { action, reason } = flow.decision;
flow.emit('connect_decision', { action, reason });

// A request on it has a flow of its own, and is judged by the handler before it goes on.
const request = {
  method: 'POST',
  target: '/v1',
  version: 'HTTP/1.1',
  headers: new HeaderMap(['Host', 'api.example.org']),
  headerCount: 1,
  connection: '',
};
const exchange = new Exchange(flow.openChild({ state: 'tls_ready', protocol: 'http1' }), {
  request,
  scheme: 'https',
  authority: 'api.example.org',
  path: '/v1',
  hasBody: true,
  isUpgrade: false,
});
exchange.requestPiece(Buffer.from('{}'));
const pending = exchange.decide(true);
const decision = isPromise(pending) ? await pending : pending;
exchange.close(decision.action === 'block' ? 'blocked' : 'mitm_http_completed');
flow.close('mitm_http_completed');

for (const event of recorder.events()) {
  process.stdout.write(`${event.context.flowId}.${event.flowSequenceId} ${event.kind}\n`);
}
