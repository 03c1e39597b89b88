// Whatever is sent to whichever way in: the connection ends with one close reason, nothing unforeseen happens, nothing is left.
import { describe, expect, test } from 'vitest';

import { seededRandom } from '../../../../testing/lab/split.ts';
import { openClient, type ProxyLab, reasonsOf, startProxy } from '../proxy-lab.ts';

const listeners = [
  { bind: '127.0.0.1:0', kind: 'socks5' },
  { bind: '127.0.0.1:0', tls: { names: ['proxy.example'] } },
  { bind: '127.0.0.1:0', kind: 'direct', requiresAuthentication: false },
  { bind: '127.0.0.1:0', proxyProtocol: { trustedAddresses: ['127.0.0.1'] } },
] as const;

const config = {
  listeners,
  // What happens to look like a target is not looked for.
  interception: { destinations: ['*:*'], blockedHosts: ['*'] },
  proxyAuthentication: { users: [{ username: 'ada', password: 'one' }] },
  timeouts: { handshakeMs: 100, headMs: 100 },
};

/** How real clients begin, to be cut and continued with garbage. */
const beginnings = [
  '',
  '\x05\x01\x02',
  '\x05\x01\x02\x01\x03ada\x03one',
  '\x04\x01',
  '\x16\x03\x01',
  'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n',
  '\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c',
  'CONNECT a:443 HTTP/1.1\r\n',
  'GET / HTTP/1.1\r\n',
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
].map((text) => Buffer.from(text, 'latin1'));

const rounds = 40;

function portsOf({ server }: ProxyLab): readonly number[] {
  return server.addresses.flatMap((address) => (address.kind === 'tcp' ? [address.port] : []));
}

describe('garbage', () => {
  test.each([0, 1, 2, 3, 4])(
    'listener %i',
    async (index) => {
      const random = seededRandom(index + 1);
      const upTo = (limit: number): number => Math.floor(random() * limit);
      await using proxy = await startProxy({ config });
      const port = portsOf(proxy)[index] ?? 0;
      for (let round = 0; round < rounds; round += 1) {
        const beginning = beginnings[upTo(beginnings.length)] ?? Buffer.alloc(0);
        const garbage = Buffer.from(Array.from({ length: 1 + upTo(40) }, () => upTo(256)));
        await using client = await openClient(port);
        client.stream.on('error', () => {});
        client.send(Buffer.concat([beginning.subarray(0, upTo(beginning.length + 1)), garbage]));
        // Half of them leave, the others wait to be let go.
        if (round % 2 === 0) client.stream.end();
        await client.log.ended();
      }
      const events = await proxy.settled();
      const unforeseen = events.filter(
        (event) => event.kind === 'stream_closed' && (event.reasonDetail ?? '').includes('internal error'),
      );
      expect(unforeseen).toEqual([]);
      expect(reasonsOf(events).length).toBeGreaterThanOrEqual(rounds);
    },
    60_000,
  );
});
