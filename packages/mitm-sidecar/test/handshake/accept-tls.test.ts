// The handshake with real clients: those that get through, and every way in which one does not.
import type { Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls, type SecureContext, type TLSSocket } from 'node:tls';

import { CertStore, classifyTlsError, generateCa } from 'mitm-tls';
import { beforeAll, describe, expect, test } from 'vitest';

import { ByteLog } from '../../../../testing/lab/byte-log.ts';
import { createLabAuthority } from '../../../../testing/lab/certificates.ts';
import { defaultDeadlineMs, within } from '../../../../testing/lab/deadline.ts';
import { expectNothingLeft, openHandles } from '../../../../testing/lab/resources.ts';
import { acceptTls, goneError, HandshakeError, isOver, timedOut } from '../../src/handshake/accept-tls.ts';
import { Wire } from '../../src/wire.ts';
import { clientHello, closed, record, tcpPair } from '../streams.ts';

let context: SecureContext;
let caPem: string;

beforeAll(async () => {
  const ca = await generateCa({ commonName: 'Accept test CA' });
  caPem = ca.certificatePem;
  ({ context } = await (await CertStore.create(ca)).contextFor(['example.org']));
});

function accept(socket: Socket, given: { alpn?: readonly string[]; timeoutMs?: number } = {}) {
  return acceptTls(new Wire(socket), {
    context,
    alpn: given.alpn ?? ['http/1.1'],
    timeoutMs: given.timeoutMs ?? 5_000,
  });
}

function client(socket: Socket, options: ConnectionOptions = {}): TLSSocket {
  const tls = connectTls({ socket, servername: 'example.org', ca: caPem, ...options });
  tls.on('error', () => {});
  return tls;
}

async function failureOf(accepted: Promise<unknown>): Promise<HandshakeError> {
  const settled = accepted.then(
    () => new Error('the handshake succeeded'),
    (error: unknown) => error,
  );
  const error = await within(settled, defaultDeadlineMs, 'the failure');
  if (!(error instanceof HandshakeError)) throw new Error('no HandshakeError', { cause: error });
  return error;
}

describe('a client that trusts us', () => {
  test.each(['TLSv1.2', 'TLSv1.3'] as const)('gets through with %s, and both ways work', async (version) => {
    await using pair = await tcpPair();
    const tls = client(pair.far, {
      minVersion: version,
      maxVersion: version,
      ALPNProtocols: ['h2', 'http/1.1'],
    });
    const { wire, alpn, version: agreed, cipher } = await accept(pair.near);
    expect({ alpn, agreed }).toEqual({ alpn: 'http/1.1', agreed: version });
    expect(cipher).toBeTypeOf('string');
    const reader = record(wire);
    tls.write('question');
    await reader.until(() => reader.text === 'question');
    wire.writeText('answer');
    expect((await new ByteLog(tls).until('answer')).toString()).toBe('answer');
    expect(tls.authorized).toBe(true);
    expect(wire.isTls).toBe(true);
    expect(Reflect.get(wire.socket, 'secureConnecting')).toBe(false);
    tls.destroy();
  });

  test.each([
    ['we name h2 and it offers it', ['h2'], ['h2', 'http/1.1'], 'h2'],
    ['the origin named nothing', [], ['h2', 'http/1.1'], undefined],
    ['it offers nothing', ['http/1.1'], undefined, undefined],
  ])('protocol, where %s', async (_name, ours, theirs, agreed) => {
    await using pair = await tcpPair();
    const tls = client(pair.far, theirs === undefined ? {} : { ALPNProtocols: theirs });
    const accepted = await accept(pair.near, { alpn: ours });
    expect(accepted.alpn).toBe(agreed);
    tls.destroy();
  });

  test('may have sent its hello before, in pieces that were read and put back', async () => {
    await using pair = await tcpPair();
    const wire = new Wire(pair.near);
    const tls = client(pair.far);
    const reader = record(wire);
    reader.whenData = () => wire.detach();
    await reader.called('data');
    // Byte by byte, last one first.
    for (let at = reader.bytes.length - 1; at >= 0; at -= 1) wire.pushBack(reader.bytes.subarray(at, at + 1));
    const accepted = await acceptTls(wire, {
      context,
      alpn: [],
      timeoutMs: 5_000,
    });
    accepted.wire.writeText('through');
    expect((await new ByteLog(tls).until('through')).toString()).toBe('through');
    tls.destroy();
  });

  test('what it sends right behind the handshake is not lost, nor its end', async () => {
    await using pair = await tcpPair();
    const tls = client(pair.far);
    tls.end('all I have to say');
    const { wire } = await accept(pair.near);
    const reader = record(wire);
    await reader.called('end');
    expect(reader.text).toBe('all I have to say');
    wire.writeText('still heard');
    wire.end();
    expect((await new ByteLog(tls).ended()).toString()).toBe('still heard');
  });

  test('of TLS 1.2 can have no second handshake on the same connection', async () => {
    await using pair = await tcpPair();
    const tls = client(pair.far, { maxVersion: 'TLSv1.2' });
    const { wire } = await accept(pair.near);
    const reader = record(wire);
    tls.write('first');
    await reader.called('data');
    const outcome = new Promise<unknown>((resolve) => {
      tls.once('error', resolve);
      tls.renegotiate({ rejectUnauthorized: false }, resolve);
    });
    expect(await within(outcome, defaultDeadlineMs, 'the answer')).toBeInstanceOf(Error);
    tls.destroy();
  });
});

describe('a handshake that fails', () => {
  test('since the client does not trust our authority', async () => {
    await using stranger = await createLabAuthority();
    await using pair = await tcpPair();
    client(pair.far, { ca: stranger.caPem, maxVersion: 'TLSv1.3' });
    const error = await failureOf(accept(pair.near));
    // This client tells nothing by an alert, it leaves; one that does is told apart below.
    expect(['unknown_ca', 'eof_or_reset']).toContain(classifyTlsError(error.cause));
    await closed(pair.near);
  });

  test('by an alert, with the class of that alert', async () => {
    await using pair = await tcpPair();
    const failure = failureOf(accept(pair.near));
    // A hello, then alert 48, unknown_ca, in the clear as before any keys.
    pair.far.write(await clientHello({ servername: 'example.org' }));
    pair.far.write(Buffer.from([21, 3, 3, 0, 2, 2, 48]));
    const error = await failure;
    expect(error.message).toMatch(/unknown ca/i);
    expect(classifyTlsError(error.cause)).toBe('unknown_ca');
  });

  test('since the versions do not meet: the client learns why', async () => {
    await using pair = await tcpPair();
    const failure = failureOf(accept(pair.near));
    const log = new ByteLog(pair.far);
    const hello = await clientHello({ maxVersion: 'TLSv1.2' });
    // Version 3.1, TLS 1.0, in place of 3.3.
    hello.writeUInt16BE(0x0301, 9);
    pair.far.write(hello);
    expect(classifyTlsError((await failure).cause)).toBe('handshake');
    // A fatal alert, protocol_version.
    expect(await log.ended()).toEqual(Buffer.from([21, 3, 1, 0, 2, 2, 70]));
  });

  test('since the client speaks no protocol that we name', async () => {
    await using pair = await tcpPair();
    client(pair.far, { ALPNProtocols: ['h2'] });
    const error = await failureOf(accept(pair.near, { alpn: ['http/1.1'] }));
    expect(classifyTlsError(error.cause)).toBe('handshake');
  });

  test('since what comes is no TLS', async () => {
    await using pair = await tcpPair();
    pair.far.write('GET / HTTP/1.1\r\n\r\n');
    const error = await failureOf(accept(pair.near));
    expect(classifyTlsError(error.cause)).toBe('handshake');
  });

  test.each([
    ['ends before its hello', 'end', 0],
    ['ends within its hello', 'end', 50],
    ['ends after its hello', 'end', 9_999],
    ['resets the connection before its hello', 'reset', 0],
    ['resets the connection after its hello', 'reset', 9_999],
  ])('since the client %s: at once, not when time is up', async (_name, how, count) => {
    await using pair = await tcpPair();
    const since = performance.now();
    const failure = failureOf(accept(pair.near, { timeoutMs: 4_000 }));
    const hello = (await clientHello()).subarray(0, count);
    pair.far.write(hello, () => {
      if (how === 'end') pair.far.end();
      else pair.far.resetAndDestroy();
    });
    expect(classifyTlsError((await failure).cause)).toBe('eof_or_reset');
    expect(performance.now() - since).toBeLessThan(3_000);
    await closed(pair.near);
  });

  test.each([
    ['has ended', (far: Socket) => far.end()],
    ['is gone', (far: Socket) => far.resetAndDestroy()],
  ])('since the client %s before we begin', async (_name, leave) => {
    await using pair = await tcpPair();
    const wire = new Wire(pair.near);
    const reader = record(wire);
    leave(pair.far);
    await reader.until(() => reader.calls.length > 0);
    wire.pushBack(await clientHello());
    const failure = await failureOf(acceptTls(wire, { context, alpn: [], timeoutMs: 4_000 }));
    expect(classifyTlsError(failure.cause)).toBe('eof_or_reset');
    expect(pair.near.destroyed).toBe(true);
  });

  test('since the client stalls', async () => {
    await using pair = await tcpPair();
    pair.far.write((await clientHello()).subarray(0, 60));
    const error = await failureOf(accept(pair.near, { timeoutMs: 40 }));
    expect(error.message).toBe('handshake timed out after 40 ms');
    expect(classifyTlsError(error.cause)).toBe('timeout');
    await closed(pair.near);
  });
});

test('no timer and no socket is left, however it ends', async () => {
  const before = openHandles();
  {
    await using pair = await tcpPair();
    const tls = client(pair.far);
    const { wire } = await accept(pair.near);
    for (const name of ['secure', 'end', 'close', 'error', '_tlsError']) {
      const ours = wire.socket.listeners(name).map((listener) => listener.name);
      expect(ours).not.toContain('fail');
      expect(ours).not.toContain('onSecure');
      expect(ours).not.toContain('onEnd');
      expect(ours).not.toContain('onClose');
    }
    tls.destroy();
  }
  {
    await using pair = await tcpPair();
    pair.far.end();
    await failureOf(accept(pair.near));
  }
  await expectNothingLeft(before);
});

test('the errors of a handshake without a word from TLS have the codes that classify them', () => {
  expect(classifyTlsError(goneError())).toBe('eof_or_reset');
  expect(classifyTlsError(timedOut(10))).toBe('timeout');
  expect(timedOut(10).message).toBe('handshake timed out after 10 ms');
});

test('a stream is over when either direction is', async () => {
  await using pair = await tcpPair();
  expect(isOver(pair.near)).toBe(false);
  pair.near.end();
  expect(isOver(pair.near)).toBe(true);
  pair.far.destroy();
  expect(isOver(pair.far)).toBe(true);
});
