// Requests in HTTP/2 that would be two in HTTP/1: with an origin that only knows the old version, no case puts a byte of a second
// request on its connection. The origin keeps every byte, and what it has must read as whole requests that a client asked for.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import { dataFrame, endHeaders, endStream, type Fields, headersFrame } from '../lab/h2-frames.ts';
import { dialRawPeer, getFields, postFields, type RawPeer } from '../lab/h2-raw-peers.ts';
import { type RawOrigin, startRawOrigin } from '../lab/origins.ts';
import { type LabProxy, startProxy } from '../lab/proxy.ts';

const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: victim\r\n\r\n';

let authority: LabAuthority;
let origin: RawOrigin;
let proxy: LabProxy;
beforeAll(async () => {
  authority = await createLabAuthority();
  origin = await startRawOrigin({
    tls: { authority, alpn: ['http/1.1'] },
    onConnection: (socket, _index, log) => {
      let answered = 0;
      socket.on('data', () => {
        const count = completeRequests(log.received.toString('latin1')).length;
        for (; answered < count; answered += 1)
          socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      });
    },
  });
  proxy = await startProxy({ trusts: authority, config: { http2Bridge: true } });
});
afterAll(async () => {
  await proxy.finish();
  await proxy[Symbol.asyncDispose]();
  await origin[Symbol.asyncDispose]();
  await authority[Symbol.asyncDispose]();
});

interface Received {
  readonly line: string;
  readonly fields: string;
  readonly body: string;
  readonly trailers: string;
}

/** Cuts what an origin received into requests, as strictly as can be; throws where something else is found. */
function completeRequests(received: string): Received[] {
  const requests: Received[] = [];
  let rest = received;
  for (;;) {
    const headEnd = rest.indexOf('\r\n\r\n') + 4;
    if (headEnd === 3) return requests;
    const head = rest.slice(0, headEnd);
    if (!/^[A-Z]+ \S+ HTTP\/1\.1\r\n(?:[^\s:]+: [^\r\n]*\r\n)*\r\n$/u.test(head))
      throw new Error(`not a request: ${JSON.stringify(head)}`);
    const lengths = [...head.matchAll(/^content-length: (\d+)\r$/gimu)].map((match) => Number(match[1]));
    const isChunked = /^transfer-encoding: chunked\r$/imu.test(head);
    if (lengths.length > 1 || (lengths.length === 1 && isChunked)) throw new Error(`two framings: ${head}`);
    const lastChunk = isChunked ? lastChunkAt(rest, headEnd) : headEnd + (lengths[0] ?? 0);
    const end = isChunked && lastChunk !== -1 ? rest.indexOf('\r\n\r\n', lastChunk) + 4 : lastChunk;
    if (lastChunk === -1 || end === 3 || rest.length < end) return requests;
    const lineEnd = head.indexOf('\r\n');
    requests.push({
      line: head.slice(0, lineEnd),
      fields: head.slice(lineEnd + 2),
      body: rest.slice(headEnd, lastChunk),
      trailers: isChunked ? rest.slice(lastChunk + 3, end) : '',
    });
    rest = rest.slice(end);
  }
}

/** Where the chunk of size 0 begins; -1 when it has not come. */
function lastChunkAt(text: string, start: number): number {
  let at = start;
  for (;;) {
    const lineEnd = text.indexOf('\r\n', at);
    if (lineEnd === -1) return -1;
    const size = text.slice(at, lineEnd);
    if (!/^[\da-f]+$/u.test(size)) throw new Error(`not a chunk: ${JSON.stringify(size)}`);
    if (size === '0') return at;
    at = lineEnd + 2 + Number.parseInt(size, 16) + 2;
  }
}

/** Frames of one stream, with the id that they are for. */
type Attack = (id: number) => readonly Buffer[];

function post(fields: Fields, ...pieces: readonly string[]): Attack {
  return (id) => [
    headersFrame(id, postFields(origin.authority, '/attack', ...fields)),
    ...pieces.map((piece, index) => dataFrame(id, piece, index === pieces.length - 1 ? endStream : 0)),
  ];
}

function withField(name: string, value: string): Attack {
  return (id) => [
    headersFrame(id, getFields(origin.authority, '/attack', name, value), endHeaders | endStream),
  ];
}

function withPseudo(name: string, value: string): Attack {
  return (id) => {
    const fields = getFields(origin.authority, '/attack').with(getFields('').indexOf(name) + 1, value);
    return [headersFrame(id, fields, endHeaders | endStream)];
  };
}

function withTrailer(name: string, value: string): Attack {
  return (id) => [
    headersFrame(id, postFields(origin.authority, '/attack')),
    dataFrame(id, 'body'),
    headersFrame(id, [name, value], endHeaders | endStream),
  ];
}

const breaks = [
  ['CR LF', '\r\n'],
  ['LF', '\n'],
  ['CR', '\r'],
  ['NUL', '\0'],
  ['a second request', `\r\n\r\n${smuggled}`],
  ['a further field', '\r\ntransfer-encoding: chunked\r\n'],
] as const;

const attacks: readonly (readonly [string, Attack])[] = [
  ['a content-length below the DATA', post(['content-length', '0'], smuggled)],
  ['a content-length within the DATA', post(['content-length', '4'], `body${smuggled}`)],
  ['a content-length above the DATA', post(['content-length', '400'], 'body')],
  ['two different lengths', post(['content-length', '4', 'content-length', '44'], `body${smuggled}`)],
  ['a list of lengths', post(['content-length', '4, 44'], `body${smuggled}`)],
  ['a length with a sign', post(['content-length', '+4'], `body${smuggled}`)],
  ['a length in hexadecimal', post(['content-length', '0x4'], `body${smuggled}`)],
  ['a length that is no number', post(['content-length', 'four'], `body${smuggled}`)],
  ['transfer-encoding: chunked', post(['transfer-encoding', 'chunked'], `0\r\n\r\n${smuggled}`)],
  ['both framings', post(['content-length', '4', 'transfer-encoding', 'chunked'], `0\r\n\r\n${smuggled}`)],
  ['transfer-encoding in capitals', post(['Transfer-Encoding', 'chunked'], `0\r\n\r\n${smuggled}`)],
  ['a name that ends with a space', post(['transfer-encoding ', 'chunked'], `0\r\n\r\n${smuggled}`)],
  ['a name that begins with a space', post([' transfer-encoding', 'chunked'], `0\r\n\r\n${smuggled}`)],
  ['a name with a colon', post(['x: y\r\ntransfer-encoding', 'chunked'], `0\r\n\r\n${smuggled}`)],
  ['connection', withField('connection', 'transfer-encoding')],
  ['upgrade', withField('upgrade', 'websocket')],
  ['te: chunked', withField('te', 'chunked')],
  ['proxy-connection', withField('proxy-connection', 'keep-alive')],
  ['keep-alive', withField('keep-alive', 'timeout=5')],
  ['an empty name', withField('', 'value')],
  [
    'a body that is a request, after a GET',
    (id) => [headersFrame(id, getFields(origin.authority, '/attack')), dataFrame(id, smuggled, endStream)],
  ],
  ...breaks.flatMap(([what, text]) => [
    [`${what} in a value`, withField('x-field', `a${text}b`)] as const,
    [`${what} at the end of a value`, withField('x-field', `a${text}`)] as const,
    [`${what} in a name`, withField(`x-field${text}b`, 'value')] as const,
    [`${what} in :path`, withPseudo(':path', `/a${text}b`)] as const,
    [`${what} in :method`, withPseudo(':method', `GET${text}b`)] as const,
    [`${what} in :authority`, withPseudo(':authority', `localhost${text}b`)] as const,
    [`${what} in :scheme`, withPseudo(':scheme', `https${text}b`)] as const,
    [`${what} in a cookie`, withField('cookie', `a=1${text}b=2`)] as const,
    [`${what} in a trailer`, withTrailer('x-trailer', `a${text}b`)] as const,
    [`${what} in a trailer's name`, withTrailer(`x-trailer${text}b`, 'value')] as const,
  ]),
  ['a request line in :path', withPseudo(':path', '/ HTTP/1.1\r\nHost: victim\r\n\r\nGET /smuggled')],
  ['a space in :path', withPseudo(':path', '/attack HTTP/1.1')],
  ['a tab in :path', withPseudo(':path', '/attack\tHTTP/1.1')],
  ['a request line in :method', withPseudo(':method', 'GET /smuggled HTTP/1.1')],
  ['a space in :method', withPseudo(':method', 'GET ')],
  ['a space in :authority', withPseudo(':authority', 'localhost victim')],
  ['userinfo in :authority', withPseudo(':authority', 'user@localhost')],
  ['a path in :authority', withPseudo(':authority', 'localhost/smuggled')],
  ['a space in :scheme', withPseudo(':scheme', 'https ')],
  ['a relative :path', withPseudo(':path', 'smuggled')],
  ['an empty :path', withPseudo(':path', '')],
  ['host beside :authority', withField('host', 'victim')],
  ['transfer-encoding in the trailers', withTrailer('transfer-encoding', 'chunked')],
  ['content-length in the trailers', withTrailer('content-length', '100')],
  ['host in the trailers', withTrailer('host', 'victim')],
  ['a pseudo field in the trailers', withTrailer(':path', '/smuggled')],
  ['connection in the trailers', withTrailer('connection', 'close')],
  ['a space around a value', withField('x-field', ' value ')],
];

async function isServed(peer: RawPeer): Promise<boolean> {
  const id = peer.ask(getFields(origin.authority, '/after'));
  return (await peer.over(id)).heads[0]?.[1] === '200';
}

describe('one stream is one request at most, whatever it holds', () => {
  test.each(attacks)('%s', async (_what, attack) => {
    await using peer = await dialRawPeer({ ...proxy.forClients, authority: origin.authority });
    const before = origin.connections.map(({ received }) => received.length);
    const id = peer.ask(getFields(origin.authority, '/before'));
    await peer.over(id);
    peer.send(...attack(id + 2));
    await peer.over(id + 2);
    // Where only the stream was refused, the connection goes on.
    const next = headersFrame(id + 4, getFields(origin.authority, '/after'), endHeaders | endStream);
    if (!peer.hasEnded) {
      peer.send(next);
      await peer.over(id + 4);
    }
    const received = origin.connections.map((log, index) =>
      log.received.toString('latin1', before[index] ?? 0),
    );
    const requests = received.flatMap((text) => completeRequests(text));
    for (const { line, fields, trailers } of requests) {
      expect(line).toMatch(/^(?:GET \/before|GET \/after|(?:GET|POST) \/attack) HTTP\/1\.1$/u);
      expect(`${fields}${trailers}`).not.toContain('victim');
      expect(trailers).not.toMatch(/^(?:transfer-encoding|content-length|host|connection|:path)/imu);
    }
    expect(requests.filter(({ line }) => line.includes('/attack')).length).toBeLessThanOrEqual(1);
    // Another client finds the origin's connections in order.
    await using other = await dialRawPeer({ ...proxy.forClients, authority: origin.authority });
    expect(await isServed(other)).toBe(true);
  });
});
