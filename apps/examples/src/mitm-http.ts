// Reads a request as it came, decides how it is framed, and writes it as a proxy sends it on.
import {
  BodyFramer,
  checkHost,
  findHeadEnd,
  parseRequestHead,
  parseTarget,
  requestFraming,
  writeRequestHead,
} from 'mitm-http';

const received = Buffer.from(
  'POST http://api.example.com/v1 HTTP/1.1\r\n' +
    'Host: api.example.com\r\n' +
    'proxy-connection: keep-alive\r\n' +
    'X-Trace:  7\r\n' +
    'Transfer-Encoding: chunked\r\n' +
    '\r\n' +
    '5\r\nhello\r\n0\r\nX-Sum: 5d41\r\n\r\n',
  'latin1',
);

const end = findHeadEnd(received, 0); // -1 while the head is not complete
const head = parseRequestHead(received, 0, end); // throws HttpError, with the status to answer
checkHost(head);
const target = parseTarget(head);

process.stdout.write(writeRequestHead(head, { target: target.path }));
// POST /v1 HTTP/1.1
// Host: api.example.com
// X-Trace:  7
// Transfer-Encoding: chunked

const body = new BodyFramer(requestFraming(head));
const next = body.push(received, end, (piece) => process.stdout.write(piece)); // hello
process.stdout.write(`\n${body.isDone} ${next === received.length} ${body.trailers?.join(': ')}\n`);
// true true X-Sum: 5d41
