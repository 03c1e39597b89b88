// What programs that never heard of this proxy get through it: every feature of HTTP/1 with every client that has it, with a
// handler that reads all bodies and with none.
import { createHash, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';

import type { InterceptHandler } from 'soth-mitm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import { hasCommand } from '../lab/clients.ts';
import {
  type EchoReport,
  type FeatureOrigin,
  featureEvents,
  featureTag,
  featureText,
  startFeatureOrigin,
} from '../lab/feature-origin.ts';
import { type LabProxy, startProxy } from '../lab/proxy.ts';
import {
  type ClientAnswer,
  type ClientRequest,
  git,
  type RealClient,
  realClients,
} from '../lab/real-clients.ts';
import { type TemporaryDirectory, temporaryDirectory } from '../lab/temporary.ts';

const mebibyte = 1024 * 1024;
const smallBody = randomBytes(40_000);
const bigBytes = randomBytes(mebibyte);

let authority: LabAuthority;
let folder: TemporaryDirectory;
let origin: FeatureOrigin;
let bigFile: string;
beforeAll(async () => {
  authority = await createLabAuthority();
  folder = await temporaryDirectory();
  origin = await startFeatureOrigin({ authority, gitRoot: folder.path });
  bigFile = await folder.write('big', Buffer.concat(Array.from({ length: 100 }, () => bigBytes)));
});
afterAll(async () => {
  await origin[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
  await authority[Symbol.asyncDispose]();
});

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function reportOf(answer: ClientAnswer): EchoReport {
  return JSON.parse(answer.body.toString());
}

interface Feature {
  readonly name: string;
  /** The clients that have it. */
  readonly clients: readonly string[];
  readonly request: () => Omit<ClientRequest, 'url'> & { readonly path: string };
  readonly expectAnswer: (answer: ClientAnswer) => void;
}

const everyClient = realClients.map((client) => client.name);

function expectText(answer: ClientAnswer): void {
  expect([answer.status, answer.body.toString()]).toEqual([200, featureText]);
}

function expectEcho(method: string, framing: EchoReport['framing']): (answer: ClientAnswer) => void {
  return (answer) => {
    expect(answer.status).toBe(200);
    const expected = { method, framing, length: smallBody.length, sha256: sha256(smallBody) };
    expect(reportOf(answer)).toMatchObject(expected);
  };
}

const features: readonly Feature[] = [
  {
    name: 'GET',
    clients: everyClient,
    request: () => ({ method: 'GET', path: '/text' }),
    expectAnswer: expectText,
  },
  {
    name: 'HEAD, whose length announces no body',
    clients: everyClient,
    request: () => ({ method: 'HEAD', path: '/text' }),
    expectAnswer: (answer) => expect([answer.status, answer.body.length]).toEqual([200, 0]),
  },
  {
    name: 'POST with a length',
    clients: everyClient,
    request: () => ({ method: 'POST', path: '/echo', body: smallBody }),
    expectAnswer: expectEcho('POST', 'length'),
  },
  {
    name: 'POST in chunks',
    clients: ['curl', 'python', 'undici', 'node'], // wget has no chunked requests
    request: () => ({ method: 'POST', path: '/echo', body: smallBody, isChunked: true }),
    expectAnswer: expectEcho('POST', 'chunked'),
  },
  {
    name: 'PUT of 100 MiB',
    clients: ['curl', 'node'], // the figure is the proxy's; two clients that pace differently are enough
    request: () => ({ method: 'PUT', path: '/big', body: { file: bigFile } }),
    expectAnswer: (answer) => {
      const hash = createHash('sha256');
      for (let index = 0; index < 100; index += 1) hash.update(bigBytes);
      const expected = { method: 'PUT', length: 100 * mebibyte, sha256: hash.digest('hex') };
      expect(reportOf(answer)).toMatchObject(expected);
    },
  },
  {
    name: 'trailers of an answer',
    clients: everyClient,
    request: () => ({ method: 'GET', path: '/trailers', headers: { TE: 'trailers' } }),
    expectAnswer: (answer) => {
      expect(answer.body.toString()).toBe('a body with a trailer');
      // wget and Python read them and tell nobody.
      if (answer.trailers !== undefined) expect(answer.trailers).toEqual({ 'x-sum': 'forty-two' });
    },
  },
  {
    name: 'trailers of a request',
    clients: ['node'], // the others can't send any
    request: () => ({
      method: 'POST',
      path: '/echo',
      body: smallBody,
      isChunked: true,
      trailers: { 'X-Sum': 'of the request' },
    }),
    expectAnswer: (answer) => {
      expectEcho('POST', 'chunked')(answer);
      expect(reportOf(answer).trailers).toEqual({ 'x-sum': 'of the request' });
    },
  },
  {
    name: '100-continue, with a body that waits for it',
    clients: ['curl', 'python', 'node'], // wget and undici don't speak it; Python asks, and does not wait
    request: () => ({ method: 'POST', path: '/echo', body: smallBody, isExpecting: true }),
    expectAnswer: expectEcho('POST', 'length'),
  },
  {
    name: 'a range',
    clients: ['curl', 'python', 'undici', 'node'], // wget only takes what it calls a resumed download
    request: () => ({ method: 'GET', path: '/range', headers: { Range: 'bytes=100-299' } }),
    expectAnswer: (answer) =>
      expect([answer.status, answer.body.toString()]).toEqual([206, featureText.slice(100, 300)]),
  },
  {
    name: '304, which has no body',
    clients: everyClient,
    request: () => ({ method: 'GET', path: '/etag', headers: { 'If-None-Match': featureTag } }),
    expectAnswer: (answer) => expect([answer.status, answer.body.length]).toEqual([304, 0]),
  },
  {
    name: 'gzip, undone by the client',
    clients: ['curl', 'wget', 'python'], // the others show what was sent, which is the row below
    request: () => ({ method: 'GET', path: '/gzip', isDecoding: true }),
    expectAnswer: expectText,
  },
  {
    name: 'gzip, as it was sent',
    clients: ['curl', 'undici', 'node'],
    request: () => ({ method: 'GET', path: '/gzip', headers: { 'Accept-Encoding': 'gzip' } }),
    expectAnswer: (answer) => expect(answer.body.subarray(0, 2)).toEqual(Buffer.from([0x1f, 0x8b])),
  },
  {
    name: 'server-sent events',
    clients: everyClient,
    request: () => ({ method: 'GET', path: '/sse', headers: { Accept: 'text/event-stream' } }),
    expectAnswer: (answer) => expect(answer.body.toString()).toBe(featureEvents.join('')),
  },
];

/** What the handler was shown, by path. */
class ReadingHandler {
  readonly requestBytes = new Map<string, Set<string>>();
  readonly answers: string[] = [];
  readonly handler: InterceptHandler = {
    onRequest: (request) => {
      const path = request.path.split('?')[0] ?? '';
      const seen = this.requestBytes.get(path) ?? new Set();
      this.requestBytes.set(
        path,
        seen.add(`${request.body.length}${request.bodyTruncated ? ' and more' : ''}`),
      );
      return { action: 'allow' };
    },
    onResponse: (response) => {
      this.answers.push(`${response.status} ${Buffer.from(response.body).toString('latin1')}`);
    },
  };
}

const missing = new Map<string, boolean>();
for (const command of ['curl', 'wget', 'python3', 'git']) missing.set(command, !(await hasCommand(command)));

const pairs = features.flatMap((feature) =>
  realClients
    .filter((client) => feature.clients.includes(client.name))
    .map((client): [string, string, Feature, RealClient] => [feature.name, client.name, feature, client]),
);

/** The rows of some features whose clients are installed. */
function ranRows(isOf: (feature: string) => boolean): typeof pairs {
  return pairs.filter(
    ([name, , , { command }]) => isOf(name) && (command === undefined || missing.get(command) !== true),
  );
}

describe.each(['with no handler', 'with a handler that reads all bodies'] as const)('%s', (how) => {
  const reading = new ReadingHandler();
  let proxy: LabProxy;
  let continuedBefore: number;
  beforeAll(async () => {
    continuedBefore = origin.continueCount;
    proxy = await startProxy({
      trusts: authority,
      ...(how !== 'with no handler' && { handler: reading.handler }),
    });
  });
  afterAll(() => proxy[Symbol.asyncDispose]());

  test.for(pairs)('%s: %s', async ([, , feature, client], { skip }) => {
    if (client.command !== undefined && missing.get(client.command) === true) {
      skip(`${client.command} is not installed`);
    }
    const { expectAnswer } = feature;
    const { path, ...request } = feature.request();
    const settings = { ...proxy.forClients, caFile: proxy.caFile };
    expectAnswer(await client.send({ ...request, url: `${origin.url}${path}` }, settings));
  });

  test('git clones a repository, and pushes 20 MiB to it', async ({ skip }) => {
    if (missing.get('git') === true) skip('git is not installed');
    const settings = { proxyPort: proxy.port, caFile: proxy.caFile };
    await using work = await temporaryDirectory();
    const bare = `${how.replaceAll(' ', '-')}.git`;
    await git(['init', '--bare', '--quiet', folder.resolve(bare)], settings, work.path);
    const url = `${origin.url}/git/${bare}`;
    const content = randomBytes(20 * mebibyte);
    await git(['clone', '--quiet', url, 'first'], settings, work.path);
    await work.write('first/content', content);
    await git(['-C', 'first', 'add', 'content'], settings, work.path);
    await git(['-C', 'first', 'commit', '--quiet', '-m', 'twenty mebibytes'], settings, work.path);
    await git(['-C', 'first', 'push', '--quiet', 'origin', 'main'], settings, work.path);
    await git(['clone', '--quiet', url, 'second'], settings, work.path);
    expect(sha256(await readFile(work.resolve('second', 'content')))).toBe(sha256(content));
  });

  test('every flow of this ended, once and in order', async () => {
    await proxy.finish();
    expect(proxy.events.events().filter((event) => event.kind === 'tls_handshake_failed')).toEqual([]);
  });

  test("100 Continue is the origin's word, unless the handler has to see the body first", () => {
    const asked = how === 'with no handler' ? ranRows((name) => name.startsWith('100-continue')).length : 0;
    expect(origin.continueCount - continuedBefore).toBe(asked);
  });

  test('a handler was shown every body, decoded', () => {
    const textRows = ranRows((name) => name === 'GET' || name.startsWith('gzip'));
    const nothing = { echoed: undefined, big: undefined, textCount: 0 };
    const everything = {
      echoed: new Set([String(smallBody.length)]),
      big: new Set([`${10 * mebibyte} and more`]),
      textCount: textRows.length,
    };
    expect({
      echoed: reading.requestBytes.get('/echo'),
      big: reading.requestBytes.get('/big'),
      textCount: reading.answers.filter((answer) => answer === `200 ${featureText}`).length,
    }).toEqual(how === 'with no handler' ? nothing : everything);
  });
});
