// Origin for server-sent events. Arguments: PORT CERT KEY. GET /sse?n=20&ms=5 sends n events, one every ms
// milliseconds, each with the CLOCK_MONOTONIC time of its sending in ns, so that the reader can tell how long it took.
import fs from 'node:fs';
import https from 'node:https';
import process from 'node:process';

const [port, cert, key] = process.argv.slice(2);
const options = {
  cert: fs.readFileSync(cert),
  key: fs.readFileSync(key),
  noDelay: true,
  keepAliveTimeout: 600_000,
};

https
  .createServer(options, (request, response) => {
    const query = new URL(request.url, 'http://localhost').searchParams;
    let left = Number(query.get('n') ?? 20);
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    const send = () => {
      response.write(`data: ${process.hrtime.bigint()}\n\n`);
      left -= 1;
      if (left > 0) return;
      clearInterval(timer);
      response.end();
    };
    const timer = setInterval(send, Number(query.get('ms') ?? 5));
    send();
  })
  .listen(Number(port), '127.0.0.1', () => console.log('up'));
