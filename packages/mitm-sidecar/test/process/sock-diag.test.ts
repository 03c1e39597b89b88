// One socket by its ends: asked of the real kernel where there is one, and what is done where a kernel can't tell.
import { fstatSync } from 'node:fs';
import type { Socket } from 'node:net';

import { describe, expect, test } from 'vitest';

import { descriptorOf, loadCLibrary, type RawSocketCalls } from '../../src/native/c-library.ts';
import { SocketDiagnosis } from '../../src/process/sock-diag.ts';
import type { TcpFamily } from '../../src/process/source.ts';
import { tcpPair } from '../streams.ts';
import { clientOf } from './fake-proc.ts';

const family = clientOf('127.0.0.1 40000');

function familyOf(accepted: Socket): TcpFamily {
  const { localAddress = '', localPort = 0, remoteAddress = '', remotePort = 0 } = accepted;
  return {
    kind: 'tcp_v4',
    local: { address: localAddress, port: localPort },
    remote: { address: remoteAddress, port: remotePort },
  };
}

describe.skipIf(process.platform !== 'linux')('the kernel', () => {
  test('names the client’s socket, and knows none with other ends', async () => {
    await using pair = await tcpPair();
    const diagnosis = new SocketDiagnosis(await loadCLibrary());
    const open = familyOf(pair.near);
    const closed = { ...open, remote: { ...open.remote, port: 1 } };
    // Our own end is not there either, so that this may be a kernel that knows nothing.
    expect(diagnosis.find(closed)).toBeUndefined();
    expect(diagnosis.find(open)).toEqual({
      uid: process.geteuid?.(),
      inode: fstatSync(descriptorOf(pair.far) ?? -1).ino,
    });
    expect(diagnosis.find(closed)).toBe('absent');
    diagnosis.close();
    expect(diagnosis.find(open)).toBeUndefined();
  });
});

/** A kernel that answers each question with the next of these. */
function kernel(...replies: readonly ((request: Buffer) => Buffer | undefined)[]): RawSocketCalls & {
  readonly log: string[];
} {
  const log: string[] = [];
  const rest = [...replies];
  let reply: Buffer | undefined;
  return {
    log,
    open: () => {
      log.push('open');
      return 7;
    },
    send: (_fd, request) => {
      log.push(`ask ${request.readUInt16BE(24)}`);
      reply = rest.shift()?.(request);
      return request.length;
    },
    receive: (_fd, into) => reply?.copy(into) ?? -1,
    close: (fd) => {
      log.push(`close ${fd}`);
      return 0;
    },
  };
}

const refused =
  (errorNumber: number) =>
  (request: Buffer): Buffer => {
    const reply = Buffer.alloc(36);
    reply.writeUInt16LE(2, 4);
    request.copy(reply, 8, 8, 12);
    reply.writeInt32LE(-errorNumber, 16);
    return reply;
  };
const absent = refused(2);
const found = (request: Buffer): Buffer => {
  const reply = Buffer.alloc(88);
  reply.writeUInt16LE(20, 4);
  request.copy(reply, 8, 8, 12);
  reply[17] = 1;
  request.copy(reply, 20, 24, 28);
  reply.writeUInt32LE(99, 84);
  return reply;
};

describe.skipIf(process.arch === 's390x')('a kernel', () => {
  test('that knows neither end of a connection may know nothing, and its tables are read', () => {
    const calls = kernel(absent, absent, absent, absent);
    const diagnosis = new SocketDiagnosis(calls);
    expect([diagnosis.find(family), diagnosis.find(family)]).toEqual([undefined, undefined]);
    expect(calls.log).toEqual(['open', 'ask 40000', 'ask 8080', 'ask 40000', 'ask 8080']);
  });

  test('that knows our end is believed from then on', () => {
    const calls = kernel(absent, found, absent);
    const diagnosis = new SocketDiagnosis(calls);
    expect([diagnosis.find(family), diagnosis.find(family)]).toEqual(['absent', 'absent']);
    expect(calls.log).toEqual(['open', 'ask 40000', 'ask 8080', 'ask 40000']);
  });

  test.each([
    ['refuses', refused(1)],
    ['is silent', () => undefined],
    ['answers another question', (request: Buffer) => found(Buffer.concat([Buffer.alloc(12), request]))],
  ])('that %s is not asked again', (_, reply) => {
    const calls = kernel(reply, found);
    const diagnosis = new SocketDiagnosis(calls);
    expect([diagnosis.find(family), diagnosis.find(family)]).toEqual([undefined, undefined]);
    expect(calls.log).toEqual(['open', 'ask 40000', 'close 7']);
    diagnosis.close();
    expect(calls.log).toHaveLength(3);
  });

  test('without such sockets is never asked', () => {
    const calls = { ...kernel(found), open: () => -1 };
    const diagnosis = new SocketDiagnosis(calls);
    expect(diagnosis.find(family)).toBeUndefined();
    diagnosis.close();
    expect(calls.log).toEqual([]);
  });
});
