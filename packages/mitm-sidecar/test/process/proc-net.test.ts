// Socket tables as recorded on Linux 6.18, searched whole and in any pieces.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { encodeAddress, encodeEndpoint, type SocketTable, TableSearch } from '../../src/process/proc-net.ts';
import { clientOf } from './fake-proc.ts';

const tcp = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     
   0: 00000000:07E8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1603 1 00000000c31af4b6 100 0 0 10 0                      
   1: 0100007F:AE71 0100007F:E808 06 00000000:00000000 03:0000028C 00000000     0        0 0 3 0000000082eeb9a5                                      
   2: 0100007F:9C40 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000        0 41234 1 00000000510b3528 20 4 30 10 -1                    
   3: 0100007F:1F90 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 41235 1 00000000755e2357 20 4 30 10 -1                    
1234: 020011AC:9C41 010011AC:1F90 01 00000000:00000000 02:000005DC 00000000     0        0 4294967295 2 00000000c3d4fe29 20 4 30 10 -1               
`;
const tcp6 = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000001000000:9C42 00000000000000000000000001000000:1F90 01 00000000:00000000 00:00000000 00000000    33        0 51234 1 0000000000000000 20 4 30 10 -1
   1: 0000000000000000FFFF00000100007F:9C43 0000000000000000FFFF00000100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 51235 1 0000000000000000 20 4 30 10 -1
   2: B80D0120000000000000000001000000:9C44 B80D0120000000000000000002000000:1F90 01 00000000:00000000 00:00000000 00000000     0        0 51236 1 0000000000000000 20 4 30 10 -1
`;

describe('an address in a table', () => {
  test.each([
    ['IPv4, little-endian', '127.0.0.1', 'tcp', 'LE', '0100007F'],
    ['IPv4, big-endian', '127.0.0.1', 'tcp', 'BE', '7F000001'],
    ['mapped IPv4 in the IPv4 table', '::ffff:127.0.0.1', 'tcp', 'LE', '0100007F'],
    ['IPv4 in the IPv6 table', '127.0.0.1', 'tcp6', 'LE', '0000000000000000FFFF00000100007F'],
    ['IPv6, little-endian', '2001:db8::1', 'tcp6', 'LE', 'B80D0120000000000000000001000000'],
    ['IPv6, big-endian', '2001:db8::1', 'tcp6', 'BE', '20010DB8000000000000000000000001'],
    ['IPv6 has no place in the IPv4 table', '::1', 'tcp', 'LE', undefined],
    ['a name has none', 'localhost', 'tcp6', 'LE', undefined],
  ] as const)('%s', (_, address, table, byteOrder, expected) => {
    expect(encodeAddress(address, table, byteOrder)).toBe(expected);
  });

  test('a port has four digits', () => {
    expect(encodeEndpoint({ address: '0.0.0.0', port: 80 }, 'tcp')).toBe('00000000:0050');
    expect(encodeEndpoint({ address: 'nowhere', port: 80 }, 'tcp')).toBeUndefined();
  });
});

// The recorded tables are those of a little-endian machine.
describe.skipIf(encodeAddress('127.0.0.1', 'tcp') !== '0100007F')('the client of a connection', () => {
  test.each([
    ['over IPv4', 'tcp', tcp, '127.0.0.1 40000', '127.0.0.1 8080', { inode: 41_234, uid: 1_000 }],
    [
      'not our own end, which is the other way round',
      'tcp',
      tcp,
      '127.0.0.1 8080',
      '127.0.0.1 40000',
      { inode: 41_235, uid: 0 },
    ],
    [
      'in a row with a long number',
      'tcp',
      tcp,
      '172.17.0.2 40001',
      '172.17.0.1 8080',
      { inode: 4_294_967_295, uid: 0 },
    ],
    [
      'that has closed its socket has inode 0',
      'tcp',
      tcp,
      '127.0.0.1 44657',
      '127.0.0.1 59400',
      { inode: 0, uid: 0 },
    ],
    ['over IPv6', 'tcp6', tcp6, '::1 40002', '::1 8080', { inode: 51_234, uid: 33 }],
    [
      'with an IPv6 socket and a mapped address',
      'tcp6',
      tcp6,
      '127.0.0.1 40003',
      '127.0.0.1 8080',
      { inode: 51_235, uid: 0 },
    ],
    [
      'over IPv6, other than loopback',
      'tcp6',
      tcp6,
      '2001:db8::1 40004',
      '2001:db8::2 8080',
      { inode: 51_236, uid: 0 },
    ],
    [
      'PA-18 with the same port at another address is not it',
      'tcp',
      tcp,
      '127.0.0.2 40000',
      '127.0.0.1 8080',
      undefined,
    ],
    ['that talks to another port is not it', 'tcp', tcp, '127.0.0.1 40000', '127.0.0.1 8081', undefined],
    ['whose port begins alike is not it', 'tcp', tcp, '127.0.0.1 4000', '127.0.0.1 8080', undefined],
    ['over IPv6 is not in the IPv4 table', 'tcp', tcp, '::1 40002', '::1 8080', undefined],
  ] as const)('%s', (_, table, text, client, proxy, row) => {
    const search = new TableSearch(table, [clientOf(client, proxy)]);
    search.push(Buffer.from(text));
    expect(search.rows()).toEqual([row]);
    expect(search.isDone).toBe(row !== undefined || (table === 'tcp' && client.startsWith('::')));
  });

  test('many at once come in the order in which they were asked', () => {
    const families = ['127.0.0.1 40003', '::1 40002', '127.0.0.1 1', '127.0.0.1 40003'].map((client) =>
      clientOf(client, client.startsWith(':') ? '::1 8080' : '127.0.0.1 8080'),
    );
    const search = new TableSearch('tcp6', families);
    search.push(Buffer.from(tcp6));
    expect(search.rows().map((row) => row?.inode)).toEqual([51_235, 51_234, undefined, 51_235]);
  });

  test('any split of the table gives the same rows', () => {
    const family = clientOf('172.17.0.2 40001', '172.17.0.1 8080');
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: tcp.length }), { maxLength: 8 }), (cuts) => {
        const search = new TableSearch('tcp', [family]);
        const points = [0, ...cuts.toSorted((a, b) => a - b), tcp.length];
        for (const [index, start] of points.entries())
          search.push(Buffer.from(tcp.slice(start, points[index + 1])));
        expect(search.rows()).toEqual([{ inode: 4_294_967_295, uid: 0 }]);
      }),
    );
  });
});

test.each<SocketTable>(['tcp', 'tcp6'])('garbage in %s finds nothing', (table) => {
  fc.assert(
    fc.property(fc.array(fc.string()), (lines) => {
      const search = new TableSearch(table, [clientOf('127.0.0.1 40000')]);
      search.push(Buffer.from(`${lines.join('\n')}\n`));
      expect(search.rows()).toEqual([undefined]);
    }),
  );
});

test('a row that ends early, or has words for numbers, is passed over', () => {
  const search = new TableSearch('tcp', [clientOf('127.0.0.1 40000')]);
  const ends = `${encodeEndpoint({ address: '127.0.0.1', port: 40_000 }, 'tcp')} ${encodeEndpoint({ address: '127.0.0.1', port: 8_080 }, 'tcp')}`;
  search.push(Buffer.from(`   0: ${ends}\n   1: ${ends} 01 0:0\n   2: ${ends} 01 0:0 0:0 0 root 0 none\n`));
  expect(search.rows()).toEqual([undefined]);
  expect(search.isDone).toBe(false);
});
