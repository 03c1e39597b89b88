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
    const [count, gapMs] = [Number(query.get('n') ?? 20), Number(query.get('ms') ?? 5)];
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    const start = performance.now();
    let sent = 0;
    const send = () => {
      // A timer that rings late has more to send: the rate stays what was asked for.
      const due = Math.min(count, 1 + Math.floor((performance.now() - start) / gapMs));
      for (; sent < due; sent += 1) response.write(`data: ${process.hrtime.bigint()}\n\n`);
      if (sent < count) return;
      clearInterval(timer);
      response.end();
    };
    const timer = setInterval(send, gapMs);
    send();
  })
  .listen(Number(port), '127.0.0.1', () => console.log('up'));
