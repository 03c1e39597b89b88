import { asFlowId, EventBus, EventRecorder, Metrics, type FlowContext } from 'mitm-observe';

const bus = new EventBus({
  onListenerError: (error, kind) => process.stderr.write(`${kind}: ${String(error)}\n`),
});
const metrics = new Metrics();
const recorder = new EventRecorder({ capacity: 100 });
const unsubscribe = bus.subscribe(recorder);

bus.on('stream_closed', (event) => {
  process.stdout.write(
    `${event.context.serverHost}: ${event.reasonCode}, ${event.bytesFromServer ?? 0} bytes\n`,
  );
});

const context: FlowContext = {
  flowId: asFlowId(1),
  clientAddr: '127.0.0.1:50000',
  serverHost: 'api.example.org',
  serverPort: 443,
  protocol: 'tunnel',
};
bus.emit('stream_closed', context, 1, { reasonCode: 'relay_eof', bytesFromServer: 1200 });

unsubscribe();
process.stdout.write(`${recorder.kinds().join()} ${metrics.snapshot().closedByReason.relay_eof}\n`);
