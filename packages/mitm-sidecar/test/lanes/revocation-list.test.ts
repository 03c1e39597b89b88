// The revocation list as clients fetch it: on the proxy's own port, and through the proxy.
import { describe, expect, test } from 'vitest';

import { asksForRevocationList } from '../../src/lanes/revocation-list.ts';
import { LoopGuard } from '../../src/upstream/loop-guard.ts';
import { openClient, reasonsOf, startProxy } from '../proxy-lab.ts';
import { createRuntime, fixtureCa } from '../runtime-fixture.ts';

const crlUrl = 'http://proxy.test:8080/ca.crl';

describe('asksForRevocationList', () => {
  const rows: readonly [string, string, string, number, string, boolean][] = [
    ['its address', 'GET', 'proxy.test', 8080, '/ca.crl', true],
    ['its path on our own port', 'GET', '127.0.0.1', 3128, '/ca.crl', true],
    ['HEAD', 'HEAD', 'proxy.test', 8080, '/ca.crl', true],
    ['another path', 'GET', 'proxy.test', 8080, '/', false],
    ['another port', 'GET', 'proxy.test', 80, '/ca.crl', false],
    ['another host', 'GET', 'other.test', 8080, '/ca.crl', false],
    ['another method', 'POST', 'proxy.test', 8080, '/ca.crl', false],
  ];
  test.each(rows)('%s', async (_rule, method, host, port, path, expected) => {
    const { openFlow } = await createRuntime({ config: { tls: { crlUrl } } });
    const loopGuard = new LoopGuard(() => [{ host: '127.0.0.1', port: 3128 }]);
    expect(
      asksForRevocationList({ method }, { target: { host, port }, path }, openFlow(), { loopGuard }),
    ).toBe(expected);
  });

  test('nothing does where certificates name none', async () => {
    const { openFlow, runtime } = await createRuntime();
    const wanted = { target: { host: 'proxy.test', port: 8080 }, path: '/ca.crl' };
    expect(asksForRevocationList({ method: 'GET' }, wanted, openFlow(), runtime)).toBe(false);
  });
});

describe('the list', () => {
  test.each([
    ['through the proxy', 'GET http://proxy.test:8080/ca.crl HTTP/1.1\r\nHost: proxy.test:8080\r\n\r\n'],
    ['from the proxy', 'GET /ca.crl HTTP/1.1\r\nHost: proxy.test:8080\r\n\r\n'],
  ])('%s is empty and in DER, and the connection goes on', async (_way, request) => {
    await using proxy = await startProxy({ config: { tls: { crlUrl } } });
    await using client = await openClient(proxy.port);
    for (let round = 0; round < 2; round += 1) {
      client.send(request);
      const head = await client.receive('\r\n\r\n');
      expect(head).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
      expect(head).toContain('Content-Type: application/pkix-crl\r\n');
    }
    client.stream.end();
    const events = await proxy.settled();
    expect(reasonsOf(events)).toContain('mitm_http_completed');
  });

  test('is what a client of HTTP makes of it', async () => {
    await using proxy = await startProxy({ config: { tls: { crlUrl } } });
    const answer = await fetch(`http://127.0.0.1:${proxy.port}/ca.crl`);
    const list = Buffer.from(await answer.arrayBuffer());
    const { fields } = await fixtureCa();
    expect([answer.status, list[0], list.includes(fields.subjectName)]).toEqual([200, 0x30, true]);
  });

  test('without its address configured is what it was: a target that is the proxy itself', async () => {
    await using proxy = await startProxy();
    const answer = await fetch(`http://127.0.0.1:${proxy.port}/ca.crl`);
    expect(answer.status).toBe(508);
    await answer.arrayBuffer();
  });
});
