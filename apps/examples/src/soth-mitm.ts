import { allow, block, createMitmProxy, EventRecorder } from 'soth-mitm';

const proxy = await createMitmProxy({
  config: {
    bind: '127.0.0.1:0',
    interception: {
      destinations: ['api.example.com:443', '*.example.org:443'],
      blockedHosts: ['ads.example.net'],
    },
    handler: { failureMode: 'closed' },
  },
  handler: {
    shouldInterceptTls: (host, process) =>
      process?.exeName !== 'trusted-updater' && host !== 'bank.example.org',
    onRequest: (request) =>
      request.headers.has('x-forbidden')
        ? block(403, 'forbidden\n', { reasonCode: 'forbidden_header' })
        : allow,
    onTlsFailure: (host, error) => console.error('TLS', host, error),
  },
}).start();

const recorder = new EventRecorder({ capacity: 1_000 });
proxy.events.subscribe(recorder);
await proxy.reload({ ...proxy.currentConfig(), interceptMode: 'monitor' });
console.log(proxy.address, proxy.metrics().totalConnections, recorder.kinds());
await proxy.shutdown(5_000);
