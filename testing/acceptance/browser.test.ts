// A real browser behind the proxy, with the proxy's CA among those it trusts: pages over HTTP/2, event streams and WebSockets work as they
// would without it, and the handler sees what passes. Skipped where there is no Chromium.
import type { InterceptHandler, StreamChunk } from 'soth-mitm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import { type Browser, missingBrowser, startBrowser } from '../lab/chromium.ts';
import { Gate } from '../lab/gate.ts';
import { startHttp2Origin } from '../lab/http2-peers.ts';
import { startHttpsOrigin } from '../lab/origins.ts';
import { type LabProxy, startProxy } from '../lab/proxy.ts';
import { startWebSocketOrigin } from '../lab/websocket-peers.ts';

const missing = await missingBrowser();
const patience = { timeout: 20_000 };
const timeout = 120_000;
const sse = { 'content-type': 'text/event-stream', 'access-control-allow-origin': '*' };

describe.skipIf(missing !== undefined)(`Chromium${missing === undefined ? '' : ` (${missing})`}`, () => {
  let authority: LabAuthority;
  let proxy: LabProxy;
  let browser: Browser;
  const chunks: StreamChunk[] = [];
  const paths: string[] = [];
  const handler: InterceptHandler = {
    onRequest: ({ path }) => {
      paths.push(path);
      return { action: 'allow' };
    },
    onStreamChunk: (chunk) => void chunks.push(chunk),
  };

  /** What was shown of one kind and direction, as text. */
  function shown(kind: string, direction: StreamChunk['direction'] = 'server_to_client'): string[] {
    return chunks
      .filter((chunk) => chunk.frameKind === kind && chunk.direction === direction)
      .map(({ payload }) => Buffer.from(payload).toString('latin1'));
  }

  beforeAll(async () => {
    authority = await createLabAuthority();
    proxy = await startProxy({ trusts: authority, handler });
    browser = await startBrowser({ proxyPort: proxy.port, caFile: proxy.caFile });
  }, timeout);
  afterAll(async () => {
    await browser[Symbol.asyncDispose]();
    await proxy.finish();
    await proxy[Symbol.asyncDispose]();
    await authority[Symbol.asyncDispose]();
  });

  test('opens a page over HTTP/2, with what belongs to it', { timeout }, async () => {
    await using origin = await startHttp2Origin({
      authority,
      onStream: (stream, headers) => {
        const isPage = headers[':path'] === '/page';
        stream.respond({ ':status': 200, 'content-type': isPage ? 'text/html' : 'text/javascript' });
        stream.end(
          isPage ? '<title>page</title><script src="/script"></script>' : 'document.title = "script";',
        );
      },
    });
    await browser.page.open(`https://${origin.authority}/page`);
    expect(
      await browser.page.run(
        'const [entry] = performance.getEntriesByType("navigation"); return [document.title, entry.nextHopProtocol];',
      ),
    ).toEqual(['script', 'h2']);
    expect(paths).toEqual(expect.arrayContaining(['/page', '/script']));
  });

  test(
    'hears each event of a stream over HTTP/1.1 before the next is sent, and comes back with the last id',
    { timeout },
    async () => {
      let next = new Gate();
      const lastIds: (string | undefined)[] = [];
      await using origin = await startHttpsOrigin({
        authority,
        handler: async (seen, response) => {
          const lastId = new Map(pairsOf(seen.rawHeaders)).get('last-event-id');
          lastIds.push(lastId);
          response.writeHead(200, sse);
          if (lastId !== undefined) {
            response.end('retry: 60000\ndata: again\n\n');
            return;
          }
          for (const text of ['one', 'two']) {
            next = new Gate();
            response.write(`retry: 10\nid: ${text}-id\nevent: said\ndata: ${text}\ndata: more\n\n`);
            await next.opened;
          }
          response.end();
        },
      });
      await browser.page.open('about:blank');
      const heard = (count: number): Promise<unknown> =>
        browser.page.run(
          `window.told ??= []; window.source ??= Object.assign(new EventSource('${origin.url}/events'), {
          onmessage: (event) => window.told.push(event.data) });
         if (!window.source.isHeard) { window.source.isHeard = true;
           window.source.addEventListener('said', (event) => window.told.push(event.data + ' ' + event.lastEventId)); }
         while (window.told.length < ${count}) await new Promise((resolve) => setTimeout(resolve, 10));
         return window.told;`,
        );
      expect(await heard(1)).toEqual(['one\nmore one-id']);
      expect(shown('sse_data')).toEqual(['one\nmore']);
      next.open();
      expect(await heard(2)).toEqual(['one\nmore one-id', 'two\nmore two-id']);
      next.open();
      expect(await heard(3)).toEqual(['one\nmore one-id', 'two\nmore two-id', 'again']);
      expect(lastIds).toEqual([undefined, 'two-id']);
      await browser.page.run('window.source.close();');
    },
  );

  test('hears each event of a stream over HTTP/2', { timeout }, async () => {
    let next = new Gate();
    await using origin = await startHttp2Origin({
      authority,
      onStream: (stream, headers) => {
        if (headers[':path'] !== '/events') {
          stream.respond({ ':status': 200, 'content-type': 'text/html' });
          stream.end('<title>events</title>');
          return;
        }
        stream.respond({ ':status': 200, ...sse });
        stream.write('data: h2 one\n\n');
        void next.opened.then(() => stream.write('data: h2 two\n\n'));
      },
    });
    await browser.page.open(`https://${origin.authority}/`);
    const heard = (count: number): Promise<unknown> =>
      browser.page.run(
        `window.told ??= []; window.source ??= Object.assign(new EventSource('/events'), {
          onmessage: (event) => window.told.push(event.data) });
         while (window.told.length < ${count}) await new Promise((resolve) => setTimeout(resolve, 10));
         return window.told;`,
      );
    expect(await heard(1)).toEqual(['h2 one']);
    expect(shown('sse_data').at(-1)).toBe('h2 one');
    next.open();
    expect(await heard(2)).toEqual(['h2 one', 'h2 two']);
    await browser.page.run('window.source.close();');
  });

  test.each([
    ['in TLS', true],
    ['without it', false],
  ])(
    'speaks over a WebSocket %s: text, bytes, 16 MiB, fragments, pings, compressed',
    { timeout },
    async (_how, isSecure) => {
      await using origin = await startWebSocketOrigin({
        ...(isSecure ? { authority } : {}),
        perMessageDeflate: { threshold: 0 },
        onConnection: (socket) => {
          socket.on('message', (data: Buffer, isBinary: boolean) => {
            if (data.toString() !== 'fragments') {
              socket.send(data, { binary: isBinary });
              return;
            }
            for (const part of ['one ', 'two ', 'three']) {
              socket.send(part, { fin: part === 'three', binary: false });
              socket.ping(part);
            }
          });
        },
      });
      await browser.page.open('about:blank');
      const address = `${isSecure ? 'wss' : 'ws'}://${origin.authority}/chat`;
      const before = chunks.length;
      const result = await browser.page.run(`
      const socket = new WebSocket('${address}');
      socket.binaryType = 'arraybuffer';
      const next = () => new Promise((resolve, reject) => {
        socket.onmessage = (event) => resolve(event.data);
        socket.onclose = (event) => reject(new Error('closed ' + event.code));
      });
      await new Promise((resolve, reject) => { socket.onopen = resolve; socket.onerror = reject; });
      const say = (data) => { const answer = next(); socket.send(data); return answer; };
      const text = await say('héllo');
      const bytes = Array.from(new Uint8Array(await say(new Uint8Array([0, 1, 255]))));
      const fragments = await say('fragments');
      const big = new Uint8Array(16 * 1024 * 1024);
      for (let i = 0; i < big.length; i += 65536) crypto.getRandomValues(big.subarray(i, i + 65536));
      const echo = new Uint8Array(await say(big));
      const isSame = echo.length === big.length && echo.every((byte, index) => byte === big[index]);
      const closed = new Promise((resolve) => { socket.onclose = (event) => resolve([event.code, event.reason, event.wasClean]); });
      socket.close(3999, 'done');
      return { text, bytes, fragments, isSame, extensions: socket.extensions, closed: await closed };`);
      expect(result).toEqual({
        text: 'héllo',
        bytes: [0, 1, 255],
        fragments: 'one two three',
        isSame: true,
        extensions: expect.stringContaining('permessage-deflate'),
        closed: [3999, 'done', true],
      });
      expect(origin.connections[0]?.pongs).toEqual(['one ', 'two ', 'three']);
      expect(await origin.connections[0]?.closed).toBe('3999 done');
      await expect.poll(() => shown('websocket_close').at(-1), patience).toContain('done');
      const said = chunks
        .slice(before)
        .filter(
          ({ frameKind, direction }) => frameKind === 'websocket_text' && direction === 'server_to_client',
        )
        .map(({ payload }) => Buffer.from(payload).toString());
      expect(said.slice(0, 2)).toEqual(['héllo', 'one two three']);
    },
  );

  test('learns how a WebSocket ended: any code of the origin, and a loss', { timeout }, async () => {
    const codes = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1011, 1012, 1013, 1014, 3000, 4999];
    await using origin = await startWebSocketOrigin({
      authority,
      onConnection: (socket) => {
        socket.on('message', (data: Buffer) => {
          const code = Number(data.toString());
          if (code === 1006) socket.terminate();
          else socket.close(code, `why ${code}`);
        });
      },
    });
    const ends = await browser.page.run(`
      const endOf = (code) => new Promise((resolve) => {
        const socket = new WebSocket('wss://${origin.authority}/chat');
        socket.onopen = () => socket.send(String(code));
        socket.onclose = (event) => resolve([event.code, event.reason, event.wasClean]);
      });
      const ends = [];
      for (const code of ${JSON.stringify([...codes, 1006])}) ends.push(await endOf(code));
      return ends;`);
    expect(ends).toEqual([...codes.map((code) => [code, `why ${code}`, true]), [1006, '', false]]);
  });
});

function* pairsOf(flat: readonly string[]): Generator<readonly [string, string]> {
  for (let i = 0; i + 1 < flat.length; i += 2) yield [(flat[i] ?? '').toLowerCase(), flat[i + 1] ?? ''];
}
