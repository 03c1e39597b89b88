// How an origin's answer is read, however its bytes are cut, and what becomes of its connection.
import { duplexPair } from 'node:stream';

import { parseConfig } from 'mitm-core';
import { parseRequestHead, requestFraming } from 'mitm-http';
import { describe, expect, test } from 'vitest';

import { everySplit } from '../../../../testing/lab/split.ts';
import { Http1Outbound } from '../../src/http1/outbound.ts';
import type { ResponseReceiver } from '../../src/relay/sides.ts';
import { Wire } from '../../src/wire.ts';

const config = parseConfig({ interception: { destinations: ['*:*'] }, maxHttpHeadBytes: 1_000 });

/** What a receiver was told, pieces of a body joined, and what became of the connection. */
interface Told {
  readonly told: string[];
  readonly connection: 'idle' | 'gone' | 'upgraded';
  /** What the next owner of an upgraded connection reads. */
  readonly after: string;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Sends one request, lets the origin send these pieces, and tells what was made of them. */
async function answer(
  pieces: readonly Uint8Array[],
  options: { readonly method?: string; readonly ends?: boolean; readonly isVolatile?: boolean } = {},
): Promise<Told> {
  const [near, far] = duplexPair();
  const wire = new Wire(near, { isVolatile: options.isVolatile ?? false });
  const owner: { state: Told['connection'] | 'busy' } = { state: 'busy' };
  const outbound = new Http1Outbound(wire, 'key', config, {
    idle: () => (owner.state = 'idle'),
    gone: () => (owner.state = 'gone'),
    pinned: () => {},
    streams: () => {},
  });
  const told: string[] = [];
  const body: string[] = [];
  const receiver: ResponseReceiver = {
    informational: (head) => told.push(`${head.status}`),
    responseHead: (head, framing) => told.push(`${head.status} ${framing.kind}`),
    responseData: (piece) => {
      body.push(piece.toString('latin1'));
      return true;
    },
    responseEnd: (trailers) => {
      told.push(`end ${body.join('')}${trailers === undefined ? '' : ` ${trailers.join('=')}`}`);
      outbound.release();
    },
    responseFlush: () => {},
    responseFailed: (failure, isUntouched) =>
      told.push(
        `failed ${failure.reply?.status} ${failure.detail?.split(':')[1]?.trim() ?? ''}${isUntouched ? ' untouched' : ''}`,
      ),
    upstreamDrained: () => {},
  };
  const bytes = Buffer.from(
    `${options.method ?? 'GET'} / HTTP/1.1\r\nHost: o\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n`,
  );
  const head = parseRequestHead(bytes, 0, bytes.length);
  outbound.send(
    {
      head,
      framing: requestFraming(head),
      scheme: 'http',
      authority: 'o',
      target: '/',
      keepUpgrade: true,
      dropExpect: false,
    },
    receiver,
  );
  outbound.sendEnd(undefined);
  outbound.flush();
  // A volatile stream hands out one and the same buffer again and again.
  const shared = Buffer.alloc(65_536);
  for (const piece of pieces) {
    if (options.isVolatile === true) {
      shared.set(piece);
      wire.receive(shared.subarray(0, piece.length));
      shared.fill('!');
    } else {
      far.write(piece);
      await turn();
    }
  }
  if (options.ends === true) {
    far.end();
    await turn();
    await turn();
  }
  const after: Buffer[] = [];
  if (told.at(-1)?.startsWith('101') === true) {
    const upgraded = outbound.takeWire();
    owner.state = 'upgraded';
    upgraded.attach({
      onData: (chunk) => after.push(Buffer.from(chunk)),
      onEnd: () => after.push(Buffer.from('<end>')),
      onClose: () => {},
      onDrain: () => {},
      onQuiet: () => {},
    });
    await turn();
  }
  near.destroy();
  far.destroy();
  if (owner.state === 'busy') throw new Error(`the connection has no owner: ${told.join()}`);
  return { told, connection: owner.state, after: Buffer.concat(after).toString('latin1') };
}

interface Row {
  readonly rule: string;
  readonly bytes: string;
  readonly method?: string;
  readonly ends?: boolean;
  readonly told: readonly string[];
  readonly connection: Told['connection'];
  readonly after?: string;
}

const rows: readonly Row[] = [
  {
    rule: 'a length',
    bytes: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello',
    told: ['200 length', 'end hello'],
    connection: 'idle',
  },
  {
    rule: 'interim answers in their order, and then the final one',
    bytes:
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx',
    told: ['100', '103', '200 length', 'end x'],
    connection: 'idle',
  },
  {
    rule: 'H1-05 chunks with a trailer',
    bytes:
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;e=1\r\nabc\r\n2\r\nde\r\n0\r\nDigest: q\r\n\r\n',
    told: ['200 chunked', 'end abcde Digest=q'],
    connection: 'idle',
  },
  {
    rule: 'a body that ends with its connection',
    bytes: 'HTTP/1.1 200 OK\r\n\r\nall of it',
    ends: true,
    told: ['200 until-close', 'end all of it'],
    connection: 'gone',
  },
  {
    rule: 'an HTTP/1.0 answer is not followed by another',
    bytes: 'HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx',
    told: ['200 length', 'end x'],
    connection: 'gone',
  },
  {
    rule: 'Connection: close is believed',
    bytes: 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx',
    told: ['200 length', 'end x'],
    connection: 'gone',
  },
  {
    rule: 'an answer to HEAD has no body',
    bytes: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n',
    method: 'HEAD',
    told: ['200 none', 'end '],
    connection: 'idle',
  },
  {
    rule: 'a length that is cut short',
    bytes: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel',
    ends: true,
    told: ['200 length', 'failed 502 '],
    connection: 'gone',
  },
  {
    rule: 'chunks that are cut short',
    bytes: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n',
    ends: true,
    told: ['200 chunked', 'failed 502 '],
    connection: 'gone',
  },
  {
    rule: 'a chunk that is none',
    bytes: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnone\r\n',
    told: ['200 chunked', 'failed 502 invalid_chunk'],
    connection: 'gone',
  },
  {
    rule: 'the end instead of an answer',
    bytes: '',
    ends: true,
    told: ['failed 502  untouched'],
    connection: 'gone',
  },
  {
    rule: 'the end in a head',
    bytes: 'HTTP/1.1 200 O',
    ends: true,
    told: ['failed 502 '],
    connection: 'gone',
  },
  {
    rule: 'SG-07a a coding and a length',
    bytes: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 10\r\n\r\n',
    told: ['failed 502 conflicting_framing'],
    connection: 'gone',
  },
  {
    rule: 'SG-07b two lengths',
    bytes: 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 8\r\n\r\n',
    told: ['failed 502 conflicting_content_length'],
    connection: 'gone',
  },
  {
    rule: 'SG-07c a space before the colon',
    bytes: 'HTTP/1.1 200 OK\r\nContent-Length : 8\r\n\r\n',
    told: ['failed 502 invalid_header_name'],
    connection: 'gone',
  },
  {
    rule: 'a head above maxHttpHeadBytes',
    bytes: `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(1_000)}\r\n\r\n`,
    told: ['failed 502 head_too_large'],
    connection: 'gone',
  },
  {
    rule: 'a 101 and what follows it, byte for byte',
    bytes: 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nearly\r\n\r\nbytes',
    told: ['101 none'],
    connection: 'upgraded',
    after: 'early\r\n\r\nbytes',
  },
  {
    rule: 'a 101, what follows it, and the end',
    bytes: 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nbye',
    ends: true,
    told: ['101 none'],
    connection: 'upgraded',
    after: 'bye<end>',
  },
];

describe('an answer, at any split of its bytes', () => {
  test.each(rows)('$rule', async ({ bytes, told, connection, after = '', ...options }) => {
    const wire = Buffer.from(bytes, 'latin1');
    expect(await answer([wire], options)).toEqual({ told, connection, after });
    await everySplit(wire, (pieces) => answer(pieces, options), { maxSplits: 60 });
  });

  test.each(rows.filter(({ ends }) => ends !== true))(
    '$rule, through a buffer that is overwritten',
    async (row) => {
      const { bytes, told, connection, after = '', ...options } = row;
      const wire = Buffer.from(bytes, 'latin1');
      const run = (pieces: readonly Uint8Array[]): Promise<Told> =>
        answer(pieces, { ...options, isVolatile: true });
      expect(await run([wire])).toEqual({ told, connection, after });
      await everySplit(wire, run, { maxSplits: 60 });
    },
  );

  test.each([
    ['behind a complete answer', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n\r\n'],
    ['behind an answer without a body', 'HTTP/1.1 204 No Content\r\n\r\nx'],
  ])('bytes %s make the connection unusable', async (_place, bytes) => {
    const whole = await answer([Buffer.from(bytes)]);
    expect(whole.connection).toBe('gone');
    // In a piece of their own they arrive while the connection is idle, which ends it just the same.
    await everySplit(Buffer.from(bytes), async (pieces) => (await answer(pieces)).connection, {
      maxSplits: 60,
    });
  });
});
