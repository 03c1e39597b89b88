// The real mitmproxy between real clients and origins: what its add-on writes is told in the classes in which we tell the same
// failures. `SOTH_TEST_MITMDUMP` names another release than the one on the path.
import { once } from 'node:events';
import { duplexPair } from 'node:stream';
import { connect } from 'node:tls';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../../../../testing/lab/certificates.ts';
import { curl, hasCommand, connectTunnel } from '../../../../testing/lab/clients.ts';
import { startHttpsOrigin, startRawOrigin } from '../../../../testing/lab/origins.ts';
import { type ExternalTlsEvent, MitmproxyTlsAdapter } from '../../src/mitmproxy/adapter.ts';
import type { TlsCallbackHook } from '../../src/mitmproxy/callback.ts';
import { mitmdump, MitmdumpProcess } from './mitmdump-process.ts';

function failureIn(events: readonly ExternalTlsEvent[]): unknown {
  const failed = events.filter((event) => event.kind === 'tls_handshake_failed');
  return failed.map(({ payload }) => [payload.peer, payload.tlsFailureReason]);
}

/** The first bytes of a client that speaks TLS. */
async function clientHello(): Promise<Buffer> {
  const [near, far] = duplexPair();
  const client = connect({ socket: near, servername: 'localhost' });
  client.on('error', () => {}); // it is left alone with its hello
  const [hello]: unknown[] = await once(far, 'data');
  client.destroy();
  if (!Buffer.isBuffer(hello)) throw new TypeError('a client hello is bytes');
  return hello;
}

const isMissing = !(mitmdump.includes('/') || (await hasCommand(mitmdump))) || !(await hasCommand('curl'));

describe.skipIf(isMissing)('mitmproxy (skipped without mitmdump and curl)', () => {
  let authority: LabAuthority;
  let proxy: MitmdumpProcess;
  beforeAll(async () => {
    authority = await createLabAuthority();
    proxy = await MitmdumpProcess.start(await authority.caFile());
  }, 60_000);
  afterAll(async () => {
    await proxy?.[Symbol.asyncDispose]();
    await authority?.[Symbol.asyncDispose]();
  });

  /** The events of the handshakes on the way to one origin, once all of `ends` have come. */
  async function eventsAbout(
    port: number,
    ...ends: readonly TlsCallbackHook[]
  ): Promise<readonly ExternalTlsEvent[]> {
    const own = await proxy.callbacks((all) =>
      ends.every((end) => all.some(({ hook, serverPort }) => hook === end && serverPort === port)),
    );
    const adapter = new MitmproxyTlsAdapter();
    return own.filter(({ serverPort }) => serverPort === port).flatMap((one) => adapter.eventsOf(one));
  }

  async function get(origin: { readonly port: number }, ...args: readonly string[]): Promise<void> {
    const through = ['--noproxy', '', '-x', `http://127.0.0.1:${proxy.port}`, '-sS', '-o', '/dev/null'];
    await curl([...through, ...args, `https://localhost:${origin.port}/`], { timeoutMs: 20_000 });
  }

  test('handshakes that succeed are told on both legs, under one name of the flow', async () => {
    await using origin = await startHttpsOrigin({ authority });
    await get(origin, '--cacert', proxy.caFile);
    const events = await eventsAbout(
      origin.port,
      'tls_handshake_succeeded_client',
      'tls_handshake_succeeded_server',
    );
    // Which leg comes first is a question of the release.
    const steps = (leg: string): unknown =>
      events.flatMap(({ kind, payload }) => ('peer' in payload && payload.peer === leg ? [kind] : []));
    expect(steps('upstream')).toEqual(['tls_handshake_started', 'tls_handshake_succeeded']);
    expect(steps('downstream')).toEqual(['tls_handshake_started', 'tls_handshake_succeeded']);
    const [name, ...more] = new Set(events.map(({ externalFlowId }) => externalFlowId));
    expect(more).toEqual([]);
    expect(name).toMatch(/^mitmproxy:[0-9a-f-]{36}$/);
    expect(events).toContainEqual({
      kind: 'tls_handshake_succeeded',
      externalFlowId: name,
      clientAddr: expect.stringMatching(/^127\.0\.0\.1:\d+$/) as unknown,
      serverHost: 'localhost',
      serverPort: origin.port,
      payload: expect.objectContaining({ peer: 'downstream', tlsVersion: 'TLSv1.3' }) as unknown,
    });
  });

  describe('the client', () => {
    test('does not know the CA of the proxy', async () => {
      await using origin = await startHttpsOrigin({ authority });
      await get(origin);
      expect(failureIn(await eventsAbout(origin.port, 'tls_failed_client'))).toEqual([
        ['downstream', 'unknown_ca'],
      ]);
    });

    test('goes away after its hello', async () => {
      await using origin = await startHttpsOrigin({ authority });
      await using tunnel = await connectTunnel(proxy.port, `localhost:${origin.port}`);
      tunnel.socket.end(await clientHello());
      expect(failureIn(await eventsAbout(origin.port, 'tls_failed_client'))).toEqual([
        ['downstream', 'eof_or_reset'],
      ]);
    });
  });

  describe('the origin', () => {
    test.each([
      ['is signed by nobody', { selfSigned: true }, ['localhost'], 'unknown_ca'],
      ['has expired', { expired: true }, ['localhost'], 'cert_validation'],
      ['is not valid yet', { notYetValid: true }, ['localhost'], 'cert_validation'],
      ['has another name', {}, ['other.test'], 'cert_validation'],
    ])('%s', async (_name, options, names, reason) => {
      const certificate = await authority.issue(names, options);
      await using origin = await startRawOrigin({ tls: { authority, certificate } });
      await get(origin, '--cacert', proxy.caFile);
      expect(failureIn(await eventsAbout(origin.port, 'tls_failed_server'))).toContainEqual([
        'upstream',
        reason,
      ]);
    });

    test.each([
      ['does not speak TLS', 'HTTP/1.1 400 Bad Request\r\n\r\n', 'handshake'],
      ['closes', undefined, 'eof_or_reset'],
    ])('%s', async (_name, answer, reason) => {
      await using origin = await startRawOrigin({
        onConnection: async (socket, _index, log) => {
          await log.until((received) => received.length > 0);
          if (answer !== undefined) socket.write(answer);
          socket.end();
        },
      });
      await get(origin, '--cacert', proxy.caFile);
      expect(failureIn(await eventsAbout(origin.port, 'tls_failed_server'))).toContainEqual([
        'upstream',
        reason,
      ]);
    });
  });
});
