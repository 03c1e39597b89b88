// HTTP clients as programs use them, behind one interface: what goes in is a request, what comes out is what the client made of
// the answer. None of them knows this project; each speaks CONNECT to the proxy and TLS through it.
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { type IncomingMessage, request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { type Dispatcher, ProxyAgent, request as undiciRequest } from 'undici';

import { connectTunnel, destroyed, tlsOver } from './clients.ts';
import { runProgram } from './programs.ts';
import { temporaryDirectory } from './temporary.ts';

export interface ClientRequest {
  readonly method: string;
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Content, or the path of a file with it. */
  readonly body?: Buffer | { readonly file: string };
  /** Sends the body in chunks instead of with its length. */
  readonly isChunked?: boolean;
  readonly trailers?: Readonly<Record<string, string>>;
  /** Waits for `100 Continue` before the body. */
  readonly isExpecting?: boolean;
  /** Undoes a content coding by the client's own means. */
  readonly isDecoding?: boolean;
}

/** What a client does not tell is undefined. */
export interface ClientAnswer {
  readonly status: number;
  readonly body: Buffer;
  readonly trailers: Readonly<Record<string, string>> | undefined;
}

export interface ClientSettings {
  readonly proxyPort: number;
  readonly ca: string;
  readonly caFile: string;
}

export interface RealClient {
  readonly name: string;
  /** The command that has to be installed; none for what comes with Node. */
  readonly command: string | undefined;
  send(request: ClientRequest, settings: ClientSettings): Promise<ClientAnswer>;
}

async function contentOf(body: ClientRequest['body']): Promise<Buffer> {
  if (body === undefined) return Buffer.alloc(0);
  return Buffer.isBuffer(body) ? body : await readFile(body.file);
}

function streamOf(body: NonNullable<ClientRequest['body']>): Readable {
  return Buffer.isBuffer(body) ? Readable.from([body]) : createReadStream(body.file);
}

async function lengthOf(body: NonNullable<ClientRequest['body']>): Promise<number> {
  return Buffer.isBuffer(body) ? body.length : (await stat(body.file)).size;
}

/** The fields in the last head of a dump of heads, which is where curl puts the trailers too. */
function fieldsOf(text: string): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const line of text.split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) fields[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  return fields;
}

function requireSuccess(
  name: string,
  result: { readonly code: number | undefined; readonly stderr: string },
): void {
  if (result.code !== 0) throw new Error(`${name} ended with ${result.code}: ${result.stderr}`);
}

async function withCurl(request: ClientRequest, settings: ClientSettings): Promise<ClientAnswer> {
  await using folder = await temporaryDirectory();
  const heads = folder.resolve('heads');
  const args = [
    '-q',
    '-sS',
    '--proxy',
    `http://127.0.0.1:${settings.proxyPort}`,
    '--cacert',
    settings.caFile,
  ];
  args.push('--suppress-connect-headers', '-D', heads);
  if (request.method === 'HEAD') args.push('--head', '-o', folder.resolve('head-output'));
  else args.push('-X', request.method);
  for (const [name, value] of Object.entries(request.headers ?? {})) args.push('-H', `${name}: ${value}`);
  if (request.isChunked === true) args.push('-H', 'Transfer-Encoding: chunked');
  args.push('-H', request.isExpecting === true ? 'Expect: 100-continue' : 'Expect:');
  if (request.isExpecting === true) args.push('--expect100-timeout', '15');
  if (request.isDecoding === true) args.push('--compressed');
  if (Buffer.isBuffer(request.body)) {
    args.push('-H', 'Content-Type: application/octet-stream', '--data-binary');
    args.push(`@${await folder.write('body', request.body)}`);
  } else if (request.body !== undefined) args.push('-T', request.body.file);
  const result = await runProgram('curl', [...args, request.url]);
  requireSuccess('curl', result);
  const text = await readFile(heads, 'latin1');
  const statuses = [...text.matchAll(/^HTTP\/1\.1 (\d+)/gmu)].map((match) => Number(match[1]));
  const afterHead = text.slice(text.lastIndexOf('HTTP/1.1 '));
  const trailers = fieldsOf(afterHead.slice(afterHead.indexOf('\r\n\r\n') + 4));
  return { status: statuses.at(-1) ?? 0, body: result.stdout, trailers };
}

async function withWget(request: ClientRequest, settings: ClientSettings): Promise<ClientAnswer> {
  await using folder = await temporaryDirectory();
  const output = folder.resolve('output');
  const proxy = `http://127.0.0.1:${settings.proxyPort}`;
  const args = ['--no-config', '--tries=1', '--timeout=15', '-S', '-O', output];
  args.push(`--ca-certificate=${settings.caFile}`, '-e', 'use_proxy=yes', '-e', `https_proxy=${proxy}`);
  if (request.method === 'HEAD') args.push('--spider');
  else if (request.method !== 'GET') args.push(`--method=${request.method}`);
  for (const [name, value] of Object.entries(request.headers ?? {})) args.push(`--header=${name}: ${value}`);
  if (request.isDecoding === true) args.push('--compression=gzip');
  if (Buffer.isBuffer(request.body)) args.push(`--body-file=${await folder.write('body', request.body)}`);
  else if (request.body !== undefined) args.push(`--body-file=${request.body.file}`);
  const result = await runProgram('wget', [...args, request.url], { environment: { HOME: folder.path } });
  const statuses = [...result.stderr.matchAll(/^ {2}HTTP\/1\.1 (\d+)/gmu)].map((match) => Number(match[1]));
  const status = statuses.at(-1) ?? 0;
  // It ends with 8 for every status that is no success, which 304 is to it.
  if (status < 300) requireSuccess('wget', result);
  const body = request.method === 'HEAD' ? Buffer.alloc(0) : await readFile(output);
  return { status, body, trailers: undefined };
}

const pythonProgram = `
import gzip, http.client, json, ssl, sys
ask = json.loads(sys.argv[1])
context = ssl.create_default_context(cafile=ask['caFile'])
connection = http.client.HTTPSConnection('127.0.0.1', ask['proxyPort'], context=context, timeout=15)
connection.set_tunnel(ask['host'], ask['port'])
body = sys.stdin.buffer.read()
if ask['isChunked']:
    body = iter([body[:1000], body[1000:]])
connection.request(ask['method'], ask['path'], body=body or None, headers=ask['headers'], encode_chunked=ask['isChunked'])
answer = connection.getresponse()
content = answer.read()
if answer.getheader('Content-Encoding') == 'gzip':
    content = gzip.decompress(content)
print(answer.status)
sys.stdout.flush()
sys.stdout.buffer.write(content)
`;

async function withPython(request: ClientRequest, settings: ClientSettings): Promise<ClientAnswer> {
  const url = new URL(request.url);
  const ask = {
    ...settings,
    host: url.hostname,
    port: Number(url.port),
    method: request.method,
    path: url.pathname,
    isChunked: request.isChunked === true,
    headers: {
      ...request.headers,
      ...(request.isChunked === true && { 'Transfer-Encoding': 'chunked' }),
      ...(request.isDecoding === true && { 'Accept-Encoding': 'gzip' }),
      ...(request.isExpecting === true && { Expect: '100-continue' }),
    },
  };
  const input = await contentOf(request.body);
  const result = await runProgram('python3', ['-c', pythonProgram, JSON.stringify(ask)], { input });
  requireSuccess('python3', result);
  const lineEnd = result.stdout.indexOf('\n');
  return {
    status: Number(result.stdout.toString('latin1', 0, lineEnd)),
    body: result.stdout.subarray(lineEnd + 1),
    trailers: undefined,
  };
}

function isUndiciMethod(method: string): method is Dispatcher.HttpMethod {
  return ['GET', 'HEAD', 'POST', 'PUT'].includes(method);
}

async function withUndici(request: ClientRequest, settings: ClientSettings): Promise<ClientAnswer> {
  const { method, body } = request;
  if (!isUndiciMethod(method)) throw new TypeError('a method that no test sends');
  const uri = `http://127.0.0.1:${settings.proxyPort}`;
  const agent = new ProxyAgent({ uri, requestTls: { ca: settings.ca } });
  try {
    const length = body === undefined || request.isChunked === true ? undefined : await lengthOf(body);
    const answer = await undiciRequest(request.url, {
      dispatcher: agent,
      method,
      headers: { ...request.headers, ...(length !== undefined && { 'content-length': String(length) }) },
      ...(body !== undefined && { body: streamOf(body) }),
    });
    const content = Buffer.from(await answer.body.arrayBuffer());
    return { status: answer.statusCode, body: content, trailers: { ...answer.trailers } };
  } finally {
    await agent.close();
  }
}

async function sendNodeBody(outgoing: ReturnType<typeof httpRequest>, request: ClientRequest): Promise<void> {
  if (request.isExpecting === true) {
    await new Promise<void>((resolve, reject) => {
      outgoing.once('continue', resolve);
      outgoing.once('error', reject);
      outgoing.flushHeaders();
    });
  }
  if (request.trailers !== undefined) outgoing.addTrailers(request.trailers);
  if (request.body === undefined) outgoing.end();
  else await pipeline(streamOf(request.body), outgoing);
}

async function withNode(request: ClientRequest, settings: ClientSettings): Promise<ClientAnswer> {
  const url = new URL(request.url);
  await using tunnel = await connectTunnel(settings.proxyPort, url.host);
  const secure = await tlsOver(tunnel.socket, { servername: url.hostname, ca: settings.ca });
  try {
    const { body } = request;
    const length = body === undefined || request.isChunked === true ? undefined : await lengthOf(body);
    const outgoing = httpRequest({
      createConnection: () => secure,
      method: request.method,
      path: url.pathname,
      headers: {
        Host: url.host,
        // A file's end is one read behind its last byte: an answer that closed the connection could overtake it.
        Connection: 'keep-alive',
        ...request.headers,
        ...(length !== undefined && { 'Content-Length': length }),
        ...(request.isChunked === true && { 'Transfer-Encoding': 'chunked' }),
        ...(request.trailers && { Trailer: Object.keys(request.trailers).join(', ') }),
        ...(request.isExpecting === true && { Expect: '100-continue' }),
      },
    });
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      outgoing.once('response', resolve);
      outgoing.once('error', reject);
    });
    const [answer] = await Promise.all([answered, sendNodeBody(outgoing, request)]);
    const chunks: Buffer[] = [];
    for await (const chunk of answer) chunks.push(Buffer.from(chunk));
    return {
      status: answer.statusCode ?? 0,
      body: Buffer.concat(chunks),
      trailers: Object.fromEntries(
        Object.entries(answer.trailers).map(([name, value]) => [name, value ?? '']),
      ),
    };
  } finally {
    await destroyed(secure);
  }
}

export const realClients: readonly RealClient[] = [
  { name: 'curl', command: 'curl', send: withCurl },
  { name: 'wget', command: 'wget', send: withWget },
  { name: 'python', command: 'python3', send: withPython },
  { name: 'undici', command: undefined, send: withUndici },
  { name: 'node', command: undefined, send: withNode },
];

/** Runs git with no configuration but what it needs to get through the proxy. */
export async function git(
  args: readonly string[],
  { proxyPort, caFile }: Omit<ClientSettings, 'ca'>,
  folder: string,
): Promise<string> {
  const settings = [
    `http.proxy=http://127.0.0.1:${proxyPort}`,
    `http.sslCAInfo=${caFile}`,
    'user.name=Lab',
    'user.email=lab@example.test',
    'init.defaultBranch=main',
    'core.compression=0', // the transfer is what is tried
  ];
  const environment = {
    HOME: folder,
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: join(folder, 'none'),
    GIT_TERMINAL_PROMPT: '0',
  };
  const flags = settings.flatMap((setting) => ['-c', setting]);
  const result = await runProgram('git', [...flags, ...args], { cwd: folder, environment });
  requireSuccess(`git ${args[0]}`, result);
  return result.stdout.toString();
}
