// The messages of the kernel's socket diagnosis, byte by byte.
import { describe, expect, test } from 'vitest';

import { diagRequest, parseDiagReply, type SocketEnds } from '../../src/process/sock-diag-message.ts';

const ipv4: SocketEnds = {
  near: { address: '127.0.0.1', port: 40_000 },
  far: { address: '10.0.0.7', port: 8_080 },
};
const zeros = (count: number): string => '00'.repeat(count);

describe('a question', () => {
  test.each([
    ['about IPv4', ipv4, '02', `7f000001${zeros(12)}`, `0a000007${zeros(12)}`],
    [
      'about an IPv6 socket with mapped addresses, which IPv4 finds',
      {
        near: { address: '::ffff:127.0.0.1', port: 40_000 },
        far: { address: '::ffff:10.0.0.7', port: 8_080 },
      },
      '02',
      `7f000001${zeros(12)}`,
      `0a000007${zeros(12)}`,
    ],
    [
      'about IPv6',
      { near: { address: '2001:db8::1', port: 40_000 }, far: { address: '::1', port: 8_080 } },
      '0a',
      `20010db8${zeros(11)}01`,
      `${zeros(15)}01`,
    ],
  ])('%s', (_, ends, family, near, far) => {
    const tail = `9c401f90${near}${far}${zeros(4)}ffffffffffffffff`;
    expect(diagRequest(ends, 5, 'LE')?.toString('hex')).toBe(
      `48000000140001000500000000000000${family}060000ffffffff${tail}`,
    );
    expect(diagRequest(ends, 5, 'BE')?.toString('hex')).toBe(
      `00000048001400010000000500000000${family}060000ffffffff${tail}`,
    );
  });

  test.each([
    ['an address of one interface', 'fe80::1%eth0', '::1'],
    ['two families', '127.0.0.1', '::1'],
    ['what is no address', 'localhost', '127.0.0.1'],
  ])('can’t be put about %s', (_, near, far) => {
    expect(
      diagRequest({ near: { address: near, port: 1 }, far: { address: far, port: 2 } }, 1),
    ).toBeUndefined();
  });
});

interface Row {
  readonly state?: number;
  readonly port?: number;
  readonly inode?: number;
}

function row({ state = 1, port = 40_000, inode = 4_242 }: Row = {}): Buffer {
  const reply = Buffer.alloc(88);
  reply.writeUInt32LE(88, 0);
  reply.writeUInt16LE(20, 4);
  reply.writeUInt32LE(5, 8);
  reply[16] = 2;
  reply[17] = state;
  reply.writeUInt16BE(port, 20);
  reply.writeUInt16BE(8_080, 22);
  reply.writeUInt32LE(1_000, 80);
  reply.writeUInt32LE(inode, 84);
  return reply;
}

function refusal(errorNumber: number): Buffer {
  const reply = Buffer.alloc(36);
  reply.writeUInt16LE(2, 4);
  reply.writeUInt32LE(5, 8);
  reply.writeInt32LE(-errorNumber, 16);
  return reply;
}

describe('an answer', () => {
  test.each([
    ['names the socket', row(), { uid: 1_000, inode: 4_242 }],
    ['tells of a connection that is over', row({ state: 6, inode: 0 }), { uid: 1_000, inode: 0 }],
    ['that means a listener is none', row({ state: 10 }), 'absent'],
    ['about another socket is none', row({ port: 40_001 }), 'absent'],
    ['may be that there is none', refusal(2), 'absent'],
    ['may be a refusal', refusal(1), { errorNumber: 1 }],
    ['that is cut short is none', row().subarray(0, 87), undefined],
    ['without a body is none', row().subarray(0, 16), undefined],
    ['of nothing is none', Buffer.alloc(0), undefined],
  ])('%s', (_, reply, expected) => {
    expect(parseDiagReply(reply, ipv4, 5, 'LE')).toEqual(expected);
  });

  test('to another question, or of another kind, is none', () => {
    expect(parseDiagReply(row(), ipv4, 6, 'LE')).toBeUndefined();
    const done = row();
    done.writeUInt16LE(3, 4);
    expect(parseDiagReply(done, ipv4, 5, 'LE')).toBeUndefined();
  });
});
