// The handshake with a client: what it is shown, what is known afterwards, and what is told of one that does not come about.
import { once } from 'node:events';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';

import { Failure, type Flow } from 'mitm-core';
import { describe, expect, test } from 'vitest';

import { destroyed } from '../../../../testing/lab/clients.ts';
import { peekBeginning } from '../../src/handshake/peek.ts';
import { fingerprintOf } from '../../src/lanes/client-fingerprint.ts';
import { type Agreed, shakeHands } from '../../src/lanes/client-handshake.ts';
import { Session } from '../../src/session.ts';
import { createRuntime, type RuntimeFixture, type RuntimeOptions } from '../runtime-fixture.ts';
import { tcpPair } from '../streams.ts';

interface Begun extends AsyncDisposable {
  readonly fixture: RuntimeFixture;
  readonly flow: Flow;
  readonly client: TLSSocket;
  /** The handshake, begun. */
  readonly shake: (agreed?: Partial<Agreed>) => ReturnType<typeof shakeHands>;
}

/** A client whose hello for a target has been read. */
async function begin(
  client: ConnectionOptions,
  host = 'example.org',
  options: RuntimeOptions = {},
): Promise<Begun> {
  const fixture = await createRuntime(options);
  const pair = await tcpPair();
  const session = new Session(pair.near);
  const flow = fixture.openFlow({ host, port: 443 });
  const secure = connectTls({ socket: pair.far, ca: fixture.ca.certificatePem, ...client });
  secure.on('error', () => {});
  const beginning = await peekBeginning(session.wire, undefined, { timeoutMs: 5_000, maxBytes: 65_536 });
  if (beginning.kind !== 'tls') throw new Error(`the client began with ${beginning.kind}`);
  const { hello } = beginning;
  return {
    fixture,
    flow,
    client: secure,
    shake: (agreed = {}) =>
      shakeHands(flow, session, fixture.runtime, {
        hello,
        fingerprint: fingerprintOf(flow, hello),
        alpn: ['http/1.1'],
        failure: undefined,
        ...agreed,
      }),
    async [Symbol.asyncDispose]() {
      await destroyed(secure);
      await pair[Symbol.asyncDispose]();
      flow.close('shutdown');
      fixture.close();
    },
  };
}

describe('a client that trusts us', () => {
  test('is known by what both agreed on and by its hello, which the event tells too', async () => {
    const offer = { servername: 'example.org', ALPNProtocols: ['h2', 'http/1.1'] };
    await using begun = await begin(offer, 'example.org', { handler: { onConnectionOpen: () => {} } });
    const { alpn, version, cipher } = await begun.shake();
    expect(alpn).toBe('http/1.1');
    const { tlsInfo } = begun.flow.connection;
    expect(tlsInfo).toMatchObject({ sni: 'example.org', negotiatedProto: 'http/1.1', version, cipher });
    const [started, succeeded] = begun.fixture.recorder.events();
    expect(started).toMatchObject({
      kind: 'tls_handshake_started',
      peer: 'downstream',
      sni: 'example.org',
      sniRelation: 'match',
      certCacheStatus: 'miss',
      ja3: tlsInfo?.ja3,
      ja4: tlsInfo?.ja4,
    });
    expect(succeeded).toMatchObject({ kind: 'tls_handshake_succeeded', negotiatedAlpn: 'http/1.1' });
  });

  test('without a name and protocols is known by no more than there is', async () => {
    await using begun = await begin({ servername: '', checkServerIdentity: () => undefined });
    await begun.shake();
    const known = Object.keys(begun.flow.connection.tlsInfo ?? {});
    // Nor are fingerprints kept where nobody is shown them.
    expect(known.toSorted()).toEqual(['cipher', 'version']);
    expect(begun.fixture.recorder.events()[0]).toMatchObject({ sniRelation: 'absent' });
  });

  test.each([
    ['its own name', 'example.org', 'example.org', 'DNS:example.org'],
    ['both names', 'example.org', 'other.test', 'DNS:other.test, DNS:example.org'],
  ])('is shown %s', async (_which, host, servername, names) => {
    await using begun = await begin({ servername }, host);
    const connected = once(begun.client, 'secureConnect');
    await begun.shake();
    await connected;
    expect(begun.client.getPeerCertificate().subjectaltname).toBe(names);
  });

  test('who leaves at once without a byte is told of', async () => {
    await using begun = await begin({ servername: 'example.org' });
    const { wire } = await begun.shake();
    wire.socket.resume();
    begun.client.end();
    expect(await begun.fixture.recorder.waitFor('tls_handshake_failed', 5_000)).toMatchObject({
      tlsFailureCause: 'closed_unused',
      phase: 'post_handshake',
      sourceConfidence: 'inferred',
    });
  });

  test('after a failure of the origin, does not move the flow any more', async () => {
    await using begun = await begin({ servername: 'example.org' });
    const before = begun.flow.state;
    await begun.shake({ failure: new Failure('tls_handshake_failed', { side: 'upstream', detail: 'gone' }) });
    expect(begun.flow.state).toBe(before);
  });
});

async function failureOf(shaking: Promise<unknown>): Promise<Failure> {
  const error = await shaking.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof Failure)) throw new Error('no Failure', { cause: error });
  return error;
}

describe('a handshake that fails', () => {
  test('because the client speaks no protocol that was agreed on, is told with its class', async () => {
    await using begun = await begin({ servername: 'example.org', ALPNProtocols: ['h2'] });
    const failure = await failureOf(begun.shake());
    expect(failure).toMatchObject({ reason: 'tls_handshake_failed', side: 'client' });
    expect(failure.detail).toMatch(/^downstream handshake failed: /);
    const [, failed] = begun.fixture.recorder.events();
    expect(failed).toMatchObject({
      tlsFailureReason: 'handshake',
      tlsFailureCause: 'no_common_protocol',
      phase: 'handshake',
    });
  });

  test('because the client leaves at the sight of our certificate, is a strike where that counts', async () => {
    await using begun = await begin({ servername: 'example.org', ca: [] }, 'example.org', {
      config: { interceptMode: 'monitor' },
    });
    await failureOf(begun.shake());
    expect(begun.fixture.runtime.tls.snapshot().backoff).toMatchObject([{ host: 'example.org', strikes: 1 }]);
  });

  test('because no certificate can be made, says so', async () => {
    await using begun = await begin({ servername: 'example.org' }, 'no name at all');
    const failure = await failureOf(begun.shake());
    expect(failure.detail).toMatch(/^downstream leaf issuance error: /);
    expect(begun.fixture.recorder.events()).toMatchObject([
      { kind: 'tls_handshake_failed', tlsFailureReason: 'other', tlsFailureCause: 'own_settings' },
    ]);
  });
});
