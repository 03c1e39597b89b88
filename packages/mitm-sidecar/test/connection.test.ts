// The life of one connection: its hooks run once and in order, whatever ends it, and its flow closes once.

import type { InterceptHandler } from 'mitm-core';
import { describe, expect, test } from 'vitest';

import { ByteLog } from '../../../testing/lab/byte-log.ts';
import { Gate } from '../../../testing/lab/gate.ts';
import { linkedPair } from '../../../testing/lab/linked-pair.ts';
import { startHttpOrigin, startTcpEcho } from '../../../testing/lab/origins.ts';
import { serveConnection } from '../src/connection.ts';
import type { Sighting } from '../src/process/source.ts';
import type { Session } from '../src/session.ts';
import { LoopGuard } from '../src/upstream/loop-guard.ts';
import { detailsOf, expectInvariants, openClient, reasonsOf, startProxy } from './proxy-lab.ts';
import { createRuntime, loopbackConnection, type RuntimeOptions } from './runtime-fixture.ts';

/** A handler that notes what runs, each hook taking its time. */
function noting(): InterceptHandler & { readonly calls: string[] } {
  const calls: string[] = [];
  const note = async (text: string): Promise<void> => {
    calls.push(`${text}…`);
    await new Promise((resolve) => setImmediate(resolve));
    calls.push(text);
  };
  return {
    calls,
    onConnectionOpen: () => note('open'),
    onRequest: async () => {
      await note('request');
      return { action: 'allow' };
    },
    onResponse: () => note('response'),
    onStreamEnd: (_connection, flow) => note(`end ${flow}`),
    onConnectionClose: () => note('close'),
  };
}

const exchange = (flow: number): string[] =>
  ['request', 'response', `end ${flow}`].flatMap((name) => [`${name}…`, name]);

const fail = (): never => {
  throw new Error('broken');
};

describe('hooks', () => {
  test('AP-08 run one after the other: open, request, response, ends, close', async () => {
    const handler = noting();
    await using origin = await startHttpOrigin();
    await using proxy = await startProxy({ handler });
    await using client = await openClient(proxy.port);
    for (let turn = 0; turn < 2; turn += 1) {
      client.send(`GET ${origin.url}/ HTTP/1.1\r\nHost: o\r\n\r\n`);
      await client.receive('ok');
      await expect.poll(() => handler.calls.at(-1)).toBe(`end ${turn + 2}`);
    }
    client.stream.end();
    await proxy.settled();
    await expect.poll(() => handler.calls.at(-1)).toBe('close');
    expect(handler.calls).toEqual([
      'open…',
      'open',
      ...exchange(2),
      ...exchange(3),
      'end 1…',
      'end 1',
      'close…',
      'close',
    ]);
  });

  test.each([
    ['that is refused', 'garbage\r\n\r\n'],
    ['that is blocked', 'CONNECT blocked.example:443 HTTP/1.1\r\n\r\n'],
    ['that sends nothing', ''],
  ])('AP-08 of a connection %s: open, end and close, once each', async (_what, sent) => {
    const handler = noting();
    await using proxy = await startProxy({
      handler,
      config: { interception: { destinations: ['*:*'], blockedHosts: ['blocked.example'] } },
    });
    await using client = await openClient(proxy.port);
    client.stream.end(sent);
    await client.rest();
    await expect.poll(() => handler.calls.at(-1)).toBe('close');
    expect(handler.calls.filter((call) => !call.endsWith('…'))).toEqual(['open', 'end 1', 'close']);
  });

  test('that fail disturb nobody', async () => {
    await using origin = await startHttpOrigin();
    await using proxy = await startProxy({
      handler: {
        onConnectionOpen: fail,
        onRequest: fail,
        onResponse: fail,
        onStreamEnd: fail,
        onConnectionClose: fail,
      },
    });
    await using client = await openClient(proxy.port);
    client.send(`GET ${origin.url}/ HTTP/1.1\r\nHost: o\r\nConnection: close\r\n\r\n`);
    expect(await client.rest()).toMatch(/^HTTP\/1\.1 200 /);
    await proxy.settled();
    await expect.poll(() => proxy.engine.snapshot().handlerPanicCount).toBe(6);
  });
});

const program = Object.freeze({ pid: 4_711, exeName: 'agent' });

/** Serves one blocked CONNECT while the process is being looked for; `release` ends the search. */
async function serveSought({
  sent = 'CONNECT blocked.example:443 HTTP/1.1\r\n\r\n',
  ...options
}: Pick<RuntimeOptions, 'handler' | 'policy' | 'config'> & { readonly sent?: string }): Promise<{
  readonly sought: () => number;
  readonly release: () => void;
  readonly answer: () => string;
  readonly served: Promise<void>;
}> {
  let count = 0;
  const found = new Gate<Sighting>();
  const fixture = await createRuntime({
    config: { interception: { destinations: ['*:*'], blockedHosts: ['blocked.example'] } },
    processSource: {
      find: () => {
        count += 1;
        return found.opened;
      },
    },
    ...options,
  });
  const [outside, inside] = linkedPair();
  const log = new ByteLog(outside);
  const served = serveConnection(inside, loopbackConnection().socketFamily, fixture.runtime, () => {});
  if (sent.startsWith('CONNECT')) outside.end(sent);
  else outside.write(sent);
  await new Promise((resolve) => setImmediate(resolve));
  return {
    sought: () => count,
    release: () =>
      found.open({
        kind: 'owner',
        pid: program.pid,
        startToken: '1',
        describe: () => Promise.resolve(program),
      }),
    answer: () => log.received.toString('latin1'),
    served,
  };
}

describe('the client’s process', () => {
  test('is not looked for when nobody reads it', async () => {
    const { served, sought, answer } = await serveSought({ handler: { onStreamEnd: () => {} } });
    await served;
    expect([sought(), answer().slice(0, 12)]).toEqual([0, 'HTTP/1.1 403']);
  });

  test('is not looked for when the configuration says so', async () => {
    const { served, sought } = await serveSought({
      config: { processAttribution: { enabled: false } },
      handler: { onConnectionOpen: () => {} },
    });
    await served;
    expect(sought()).toBe(0);
  });

  test('is awaited by the hooks that are shown it, and not by the traffic', async () => {
    const shown: unknown[] = [];
    const { served, sought, release, answer } = await serveSought({
      handler: { onConnectionOpen: (meta) => void shown.push(meta.processInfo) },
    });
    await expect.poll(answer).toMatch(/^HTTP\/1\.1 403 /);
    expect([sought(), shown]).toEqual([1, []]);
    release();
    await served;
    expect(shown).toEqual([program]);
  });

  test('is shown with a request that was read before it was known', async () => {
    await using origin = await startHttpOrigin();
    const shown: unknown[] = [];
    const { served, release } = await serveSought({
      sent: `GET ${origin.url}/ HTTP/1.1\r\nHost: o\r\nConnection: close\r\n\r\n`,
      handler: {
        onRequest: (request) => {
          shown.push(request.connectionMeta.processInfo);
          return { action: 'allow' };
        },
        onResponse: (response) => void shown.push(response.connectionMeta.processInfo),
      },
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    release();
    await served;
    expect(shown).toEqual([program, program]);
  });

  test('is awaited by a policy of the caller’s own', async () => {
    const asked: unknown[] = [];
    const { served, sought, release, answer } = await serveSought({
      policy: {
        decide: (input) => {
          asked.push(input.process);
          return { action: 'block', reason: 'not that program' };
        },
      },
    });
    expect([sought(), asked, answer()]).toEqual([1, [], '']);
    release();
    await served;
    expect([asked, answer().slice(0, 12)]).toEqual([[program], 'HTTP/1.1 403']);
  });
});

describe('the end', () => {
  test('a failure is not answered behind a 200', async () => {
    await using origin = await startTcpEcho();
    await using proxy = await startProxy({
      config: { interception: { destinations: ['*:*'], unknownProtocol: 'block' } },
    });
    await using client = await openClient(proxy.port);
    client.send(`CONNECT ${origin.authority} HTTP/1.1\r\nHost: o\r\n\r\n\0`);
    expect(await client.rest()).toBe('HTTP/1.1 200 Connection Established\r\n\r\n');
  });

  test('what was not foreseen closes the flow too, and the promise never rejects', async () => {
    const fixture = await createRuntime();
    const runtime = {
      ...fixture.runtime,
      loopGuard: new LoopGuard(() => {
        throw new TypeError('not foreseen');
      }),
    };
    const [outside, inside] = linkedPair();
    const log = new ByteLog(outside);
    outside.write('CONNECT h:443 HTTP/1.1\r\n\r\n');
    await serveConnection(inside, loopbackConnection().socketFamily, runtime, () => {});
    await log.ended();
    outside.end();
    const events = fixture.recorder.events();
    expectInvariants(fixture.engine, events);
    expect(detailsOf(events)[0]).toContain('not foreseen');
    fixture.close();
  });

  test('a connection that is cut by the proxy is closed with shutdown', async () => {
    const fixture = await createRuntime();
    const [outside, inside] = linkedPair();
    const log = new ByteLog(outside);
    const sessions: Session[] = [];
    const served = serveConnection(inside, loopbackConnection().socketFamily, fixture.runtime, (session) => {
      sessions.push(session);
    });
    outside.write('CONNECT h:4');
    sessions[0]?.kill();
    await served;
    await log.ended();
    const events = fixture.recorder.events();
    expectInvariants(fixture.engine, events);
    expect(reasonsOf(events)).toEqual(['shutdown']);
    fixture.close();
  });

  test('the session is told before anything is read', async () => {
    const fixture = await createRuntime();
    const [outside, inside] = linkedPair();
    const told: string[] = [];
    const served = serveConnection(inside, loopbackConnection().socketFamily, fixture.runtime, () => {
      told.push('session');
    });
    expect(told).toEqual(['session']);
    outside.end();
    outside.resume();
    await served;
    expect(reasonsOf(fixture.recorder.events())).toEqual(['client_aborted']);
  });
});
