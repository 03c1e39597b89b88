import { allow, block, createMitmProxy } from 'soth-mitm';

const proxy = await createMitmProxy({
  config: {
    bind: '127.0.0.1:0', // port 0 takes a free one
    interception: { destinations: ['*:*'] }, // or 'api.example.com:443', '*.example.org:443'
  },
  handler: {
    onRequest: (request) => {
      console.log(request.method, `${request.scheme}://${request.authority}${request.path}`);
      return request.path.startsWith('/blocked') ? block(403, 'not through this proxy\n') : allow;
    },
    onResponse: (response) => {
      console.log(response.status, response.headers.get('content-type'), response.body.length);
    },
  },
}).start();

proxy.events.on('stream_closed', (event) => console.log(event.context.serverHost, event.reasonCode));
console.log(`listening on http://${proxy.address.host}:${proxy.address.port}`);
process.once('SIGTERM', () => void proxy.shutdown());
