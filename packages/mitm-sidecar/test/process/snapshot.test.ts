// Finding a client among listed connections.
import { describe, expect, test } from 'vitest';

import { connectionKey, findClient, type Snapshot } from '../../src/process/snapshot.ts';
import { clientOf } from './fake-proc.ts';

function key(near: string, nearPort: number, far: string, farPort: number): string {
  return connectionKey({ address: near, port: nearPort }, { address: far, port: farPort }) ?? '';
}

const curl = { pid: 7, parentPid: 1, started: 'noon', name: 'curl' };
const snapshot: Snapshot = {
  connections: new Map([
    [key('127.0.0.1', 40_000, '127.0.0.1', 8_080), 7],
    [key('127.0.0.1', 8_080, '127.0.0.1', 40_000), 9],
    [key('::1', 40_000, '::1', 8_080), 8],
  ]),
  processes: new Map([[7, curl]]),
};

describe('the client of a connection', () => {
  test.each([
    ['has it the other way round than the proxy', '127.0.0.1 40000', '127.0.0.1 8080', curl],
    ['PA-20 may be spelt as a mapped address', '::ffff:127.0.0.1 40000', '127.0.0.1 8080', curl],
    [
      'may be missing in the list of processes',
      '::1 40000',
      '::1 8080',
      { pid: 8, parentPid: 0, started: '' },
    ],
    ['PA-18 is not one with another address', '127.0.0.2 40000', '127.0.0.1 8080', undefined],
    ['PA-35 is not one whose port begins alike', '127.0.0.1 4000', '127.0.0.1 8080', undefined],
    ['is none without an address', 'nonsense 40000', '127.0.0.1 8080', undefined],
  ])('%s', (_, client, proxy, expected) => {
    expect(findClient(snapshot, clientOf(client, proxy))).toEqual(expected);
  });
});
