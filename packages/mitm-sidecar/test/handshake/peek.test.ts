// Whoever speaks first decides what a connection carries; whatever was read stays where it is.
import { duplexPair } from 'node:stream';

import { Failure } from 'mitm-core';
import { describe, expect, test } from 'vitest';

import { expectNothingLeft, openHandles } from '../../../../testing/lab/resources.ts';
import { everySplit } from '../../../../testing/lab/split.ts';
import { peekBeginning } from '../../src/handshake/peek.ts';
import { Wire } from '../../src/wire.ts';
import { clientHello, nextTurn, record } from '../streams.ts';

const options = { timeoutMs: 5_000, maxBytes: 65_536 };

function ends() {
  const [clientNear, client] = duplexPair();
  const [originNear, origin] = duplexPair();
  return { clientWire: new Wire(clientNear), client, originWire: new Wire(originNear), origin, clientNear };
}

async function failureOf(peek: Promise<unknown>): Promise<{ reason: string; detail: string | undefined }> {
  const error: unknown = await peek.catch((caught: unknown) => caught);
  if (!(error instanceof Failure)) throw new Error('no failure', { cause: error });
  expect(error.side).toBe('client');
  expect(error.reply).toBeUndefined();
  return { reason: error.reason, detail: error.detail };
}

describe('the client speaks first', () => {
  test('with a hello, however it is cut; both sides keep all their bytes', async () => {
    const hello = await clientHello();
    const tried = await everySplit(
      hello,
      async (pieces) => {
        const { clientWire, client, originWire, origin } = ends();
        for (const piece of pieces) client.write(piece);
        const beginning = await peekBeginning(clientWire, originWire, options);
        const reader = record(clientWire);
        await reader.until(() => reader.bytes.length === hello.length);
        origin.write('later');
        const fromOrigin = record(originWire);
        await fromOrigin.until(() => fromOrigin.text === 'later');
        return [beginning.kind, reader.bytes.equals(hello)];
      },
      { maxSplits: 30 },
    );
    expect(tried).toBeGreaterThan(20);
  });

  test.each([
    ['HTTP/1', 'GET / HTTP/1.1\r\n', 'http1'],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'http2'],
    ['something else', 'SSH-2.0-x\r\n', 'unknown'],
  ])('%s, with and without an origin to watch', async (_name, text, kind) => {
    const { clientWire, client, originWire } = ends();
    client.write(text);
    expect(await peekBeginning(clientWire, originWire, options)).toEqual({ kind });
    expect(await peekBeginning(clientWire, undefined, options)).toEqual({ kind });
    expect(record(clientWire).text).toBe(text);
  });

  test('after the origin had hung up', async () => {
    const { clientWire, client, originWire, origin } = ends();
    origin.end();
    const peek = peekBeginning(clientWire, originWire, options);
    await nextTurn();
    await nextTurn();
    client.write('GET / HTTP/1.1\r\n');
    expect(await peek).toEqual({ kind: 'http1' });
    expect(record(originWire).calls).toEqual(['end']);
  });
});

test('the origin speaks first: its greeting stays, and so does the part of a line that the client had sent', async () => {
  const { clientWire, client, originWire, origin } = ends();
  client.write('EH');
  const peek = peekBeginning(clientWire, originWire, options);
  await nextTurn();
  origin.write('220 mail.example.org ESMTP\r\n');
  expect(await peek).toEqual({ kind: 'upstream_first' });
  expect(record(originWire).text).toBe('220 mail.example.org ESMTP\r\n');
  client.write('LO\r\n');
  const reader = record(clientWire);
  await reader.until(() => reader.text === 'EHLO\r\n');
});

describe('nothing comes of it', () => {
  test('nobody says anything', async () => {
    const { clientWire, originWire } = ends();
    const short = { ...options, timeoutMs: 15 };
    expect(await failureOf(peekBeginning(clientWire, originWire, short))).toEqual({
      reason: 'stream_stage_timeout',
      detail: 'stream_stage_timeout:first_bytes:15ms',
    });
  });

  test('the client stalls in its hello', async () => {
    const { clientWire, client } = ends();
    client.write((await clientHello()).subarray(0, 100));
    expect(await failureOf(peekBeginning(clientWire, undefined, { ...options, timeoutMs: 25 }))).toEqual({
      reason: 'tls_handshake_failed',
      detail: 'client hello incomplete: timed out after 25 ms',
    });
  });

  test('the client stalls in a line: that is no failed handshake', async () => {
    const { clientWire, client } = ends();
    client.write('GET / HT');
    const { reason } = await failureOf(peekBeginning(clientWire, undefined, { ...options, timeoutMs: 25 }));
    expect(reason).toBe('stream_stage_timeout');
  });

  test.each([
    ['before its first byte', '', 'client_aborted', 'client left before its first byte'],
    ['in its first line', 'GET /', 'client_aborted', 'client left in its first line'],
    ['in its hello', '\x16\x03\x01\x02\x00\x01', 'tls_handshake_failed', 'unexpected eof in ClientHello'],
  ])('the client leaves %s', async (_name, sent, reason, detail) => {
    const { clientWire, client, originWire } = ends();
    client.end(Buffer.from(sent, 'latin1'));
    expect(await failureOf(peekBeginning(clientWire, originWire, options))).toEqual({ reason, detail });
  });

  test('the connection to the client breaks', async () => {
    const { clientWire, clientNear, originWire } = ends();
    const peek = failureOf(peekBeginning(clientWire, originWire, options));
    clientNear.destroy(new Error('reset'));
    expect((await peek).reason).toBe('client_aborted');
  });

  test('bytes that begin like TLS and are not are refused', async () => {
    const { clientWire, client } = ends();
    client.write(Buffer.from([22, 3, 1, 0, 5, 99, 0, 0, 1, 0]));
    const { reason, detail } = await failureOf(peekBeginning(clientWire, undefined, options));
    expect(reason).toBe('tls_handshake_failed');
    expect(detail).toMatch(/^unreadable ClientHello: /);
  });
});

test('no timer is left, and the origin is free for another reader', async () => {
  const before = openHandles();
  const { clientWire, client, originWire, origin } = ends();
  client.end();
  await failureOf(peekBeginning(clientWire, originWire, options));
  origin.write('x');
  const reader = record(originWire);
  await reader.until(() => reader.text === 'x');
  await expectNothingLeft(before);
});
