// What can be seen of a proxy from outside: consumers, metrics, the log and its authority.
import { readFile } from 'node:fs/promises';

import { afterEach, describe, expect, test } from 'vitest';

import { createLabAuthority } from '../../../testing/lab/certificates.ts';
import { httpsThroughProxy, httpThroughProxy } from '../../../testing/lab/clients.ts';
import { expectClosedOnce, expectOrdered } from '../../../testing/lab/events.ts';
import { startHttpOrigin, startHttpsOrigin } from '../../../testing/lab/origins.ts';
import { temporaryDirectory } from '../../../testing/lab/temporary.ts';
import { allow, block, createMitmProxy, EventRecorder } from '../src/index.ts';
import { cleanUps, keep, startProxy } from './proxy-lab.ts';

afterEach(async () => {
  for (const resource of cleanUps.splice(0).toReversed()) await resource[Symbol.asyncDispose]();
});

describe('what watches a proxy', () => {
  test('consumers see every event, and a shutdown waits for them', async () => {
    const folder = keep(await temporaryDirectory());
    const origin = keep(await startHttpOrigin());
    const consumer = new EventRecorder();
    const ends: string[] = [];
    const proxy = keep(
      await createMitmProxy({
        consumers: [
          {
            consume: () => {
              throw new Error('a consumer of no use');
            },
          },
          { consume: (event) => consumer.consume(event), close: async () => void ends.push('closed') },
        ],
        config: {
          bind: '127.0.0.1:0',
          interception: { destinations: ['*:*'] },
          tls: { caCertPath: folder.resolve('c'), caKeyPath: folder.resolve('k') },
          eventLog: { path: folder.resolve('e.jsonl') },
        },
      }).start(),
    );
    const url = `http://localhost:${origin.port}/?token=abc`;
    expect((await httpThroughProxy({ proxyPort: proxy.address.port, url })).status).toBe(200);
    await proxy.shutdown();
    expect(ends).toEqual(['closed']);
    expectOrdered(consumer.events());
    expectClosedOnce(consumer.events());
    const { listenerErrorCount, durations } = proxy.metrics();
    expect(listenerErrorCount).toBe(consumer.events().length);
    const { connection, request, dial, handler, originHandshake } = durations;
    expect([connection.count, request.count, dial.count]).toEqual([1, 1, 1]);
    expect([handler.count, originHandshake.count]).toEqual([0, 0]);
    const log = await readFile(folder.resolve('e.jsonl'), 'utf8');
    expect(log.trimEnd().split('\n')).toHaveLength(consumer.events().length);
    expect(log).not.toContain('abc');
  });

  test('metrics are served where the configuration says, until the end', async () => {
    const { proxy } = await startProxy({ admin: { bind: '127.0.0.1:0' } });
    const port = proxy.adminAddress?.port ?? 0;
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    expect(text).toContain('soth_mitm_active_connections 0\n');
    const around = await httpThroughProxy({
      proxyPort: proxy.address.port,
      url: `http://localhost:${port}/metrics`,
    });
    expect(around.status).toBe(508);
    await proxy.shutdown();
    await expect(fetch(`http://127.0.0.1:${port}/metrics`)).rejects.toThrow('fetch failed');
  });

  test('a port for metrics that is taken lets nothing start', async () => {
    const { proxy } = await startProxy();
    const second = startProxy({ admin: { bind: `127.0.0.1:${proxy.address.port}` } });
    await expect(second).rejects.toMatchObject({ code: 'ERR_MITM_LISTEN_FAILED' });
  });

  test('a reload moves the log, and then its index alone', async () => {
    const { proxy, folder } = await startProxy();
    const origin = keep(await startHttpOrigin());
    const eventLog = { path: folder.resolve('e.jsonl') };
    expect(await proxy.reload({ ...proxy.currentConfig(), eventLog })).toEqual(['eventLog']);
    const url = `http://localhost:${origin.port}/`;
    await httpThroughProxy({ proxyPort: proxy.address.port, url });
    const elsewhere = { ...eventLog, indexPath: folder.resolve('i') };
    expect(await proxy.reload({ ...proxy.currentConfig(), eventLog: elsewhere })).toEqual([
      'eventLog.indexPath',
    ]);
    await httpThroughProxy({ proxyPort: proxy.address.port, url });
    await proxy.shutdown();
    const lineCount = async (name: string): Promise<number> =>
      (await readFile(folder.resolve(name), 'utf8')).split('\n').length;
    expect(await readFile(folder.resolve('e.jsonl'), 'utf8')).toContain('"kind":"stream_closed"');
    expect(await lineCount('i')).toBe((await lineCount('e.jsonl')) + 1);
    await expect(lineCount('e.jsonl.index.tsv')).rejects.toThrow('ENOENT');
  });

  test('a reload opens, moves and closes the listener for metrics', async () => {
    const { proxy } = await startProxy();
    const config = proxy.currentConfig();
    const isHealthy = async (): Promise<boolean> =>
      (await fetch(`http://127.0.0.1:${proxy.adminAddress?.port}/healthz`)).ok;
    expect(proxy.adminAddress).toBeUndefined();
    await proxy.reload({ ...config, admin: { bind: '127.0.0.1:0' } });
    const first = proxy.adminAddress;
    expect(await isHealthy()).toBe(true);
    await proxy.reload({ ...proxy.currentConfig(), via: 'another' });
    expect(proxy.adminAddress).toBe(first);
    await proxy.reload({ ...config, admin: { bind: '[::1]:0' } }).catch(() =>
      // A machine without IPv6.
      proxy.reload({ ...config, admin: { bind: '127.0.0.2:0' } }),
    );
    expect(proxy.adminAddress).not.toEqual(first);
    await expect(fetch(`http://127.0.0.1:${first?.port}/healthz`)).rejects.toThrow('fetch failed');
    await proxy.reload(config);
    expect(proxy.adminAddress).toBeUndefined();
  });

  test('a reload that fails at one of them leaves both as they were', async () => {
    const { proxy, folder } = await startProxy();
    const config = proxy.currentConfig();
    const admin = { bind: '127.0.0.1:0' };
    const path = folder.resolve('e.jsonl');
    await proxy.reload({ ...config, admin, eventLog: { path } });
    const before = { config: proxy.currentConfig(), address: proxy.adminAddress };
    const taken = { bind: `127.0.0.1:${proxy.address.port}` };
    const unusable = { path, hmacKeyPath: folder.resolve('nowhere') };
    const fine = { path: folder.resolve('other.jsonl') };
    for (const [next, code] of [
      [{ admin: taken, eventLog: fine }, 'ERR_MITM_LISTEN_FAILED'],
      [{ admin: { bind: '127.0.0.2:0' }, eventLog: unusable }, 'ERR_MITM_EVENT_LOG_FAILED'],
      [{ admin: undefined, eventLog: unusable }, 'ERR_MITM_EVENT_LOG_FAILED'],
      [{ admin: taken, eventLog: undefined }, 'ERR_MITM_LISTEN_FAILED'],
    ] as const) {
      await expect(proxy.reload({ ...before.config, ...next })).rejects.toMatchObject({ code });
      expect({ config: proxy.currentConfig(), address: proxy.adminAddress }).toEqual(before);
      expect((await fetch(`http://127.0.0.1:${before.address?.port}/healthz`)).ok).toBe(true);
    }
    await proxy.shutdown();
    await expect(proxy.reload(config)).rejects.toMatchObject({ code: 'ERR_MITM_STOPPED' });
  });
});

describe('the authority', () => {
  test('is replaced on demand: the next client is shown the new one, and everybody is told', async () => {
    const authority = keep(await createLabAuthority());
    const origin = keep(await startHttpsOrigin({ authority }));
    const { proxy, recorder, folder } = await startProxy({
      upstream: { caPaths: [await authority.caFile()] },
    });
    const ask = (ca: string): Promise<unknown> =>
      httpsThroughProxy({ proxyPort: proxy.address.port, url: origin.url, ca });
    const before = proxy.ca;
    await ask(before.certificatePem);
    const after = await proxy.rotateCa();
    expect(proxy.ca).toBe(after);
    await ask(after.certificatePem);
    await expect(ask(before.certificatePem)).rejects.toThrow(/certificate/);
    expect(await readFile(folder.resolve('ca.pem'), 'utf8')).toBe(after.certificatePem);
    expect(await readFile(folder.resolve('ca.previous.pem'), 'utf8')).toBe(before.certificatePem);
    const rotations = recorder.events().filter((event) => event.kind === 'ca_rotation');
    expect(rotations).toMatchObject([
      { stage: 'activated', caFingerprint: before.fingerprint, nextCaFingerprint: after.fingerprint },
    ]);
    expect(proxy.metrics().caRotationCount).toBe(1);
  });

  test('gets a successor at its age, which signs after the overlap', async () => {
    const authority = keep(await createLabAuthority());
    const origin = keep(await startHttpsOrigin({ authority }));
    const folder = keep(await temporaryDirectory());
    const files = { caCertPath: folder.resolve('ca.pem'), caKeyPath: folder.resolve('ca-key.pem') };
    const { proxy, recorder } = await startProxy({
      upstream: { caPaths: [await authority.caFile()] },
      tls: { ...files, caRotateAfterSeconds: 1, caRotateOverlapSeconds: 1 },
    });
    const before = proxy.ca;
    const ask = (): Promise<unknown> =>
      httpsThroughProxy({ proxyPort: proxy.address.port, url: origin.url, ca: proxy.ca.certificatePem });
    const stages = (): string[] =>
      recorder.events().flatMap((event) => (event.kind === 'ca_rotation' ? [event.stage] : []));
    const deadline = Date.now() + 9_000;
    while (stages().length < 2 && Date.now() < deadline) {
      await ask();
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(stages().slice(0, 2)).toEqual(['announced', 'activated']);
    expect(proxy.ca.fingerprint).not.toBe(before.fingerprint);
    await ask();
  });
});

test('counts are exact, however much happens at once', async () => {
  const folder = keep(await temporaryDirectory());
  const path = folder.resolve('e.jsonl');
  const origin = keep(await startHttpOrigin());
  const { proxy, recorder } = await startProxy(
    { eventLog: { path } },
    { onRequest: async ({ path: asked }) => (asked.startsWith('/no') ? block(403, 'no') : allow) },
  );
  const requestCount = 120;
  const answers = await Promise.all(
    Array.from({ length: requestCount }, (_, index) =>
      httpThroughProxy({
        proxyPort: proxy.address.port,
        url: `http://localhost:${origin.port}/${index % 3 === 0 ? 'no' : 'yes'}`,
      }),
    ),
  );
  await proxy.shutdown();
  const blockedCount = answers.filter(({ status }) => status === 403).length;
  expect(blockedCount).toBe(requestCount / 3);
  const metrics = proxy.metrics();
  expect(metrics).toMatchObject({
    totalConnections: requestCount,
    activeConnections: 0,
    activeFlows: 0,
    flowCount: 2 * requestCount,
    requestCount,
    responseCount: requestCount - blockedCount,
    eventQueueDepth: 0,
    eventsDroppedCount: 0,
  });
  const { connection, request, handler } = metrics.durations;
  expect([connection.count, request.count, handler.count]).toEqual([
    requestCount,
    requestCount,
    requestCount,
  ]);
  const closes = Object.values(metrics.closedByReason).reduce((sum, count) => sum + count, 0);
  expect(closes).toBe(metrics.flowCount);
  const events = recorder.events();
  expect(events.at(-1)?.sequenceId).toBe(events.length);
  const log = await readFile(path, 'utf8');
  const ids = log
    .trimEnd()
    .split('\n')
    .map((line) => Number(/"sequence_id":(\d+)/.exec(line)?.[1]));
  expect(ids).toEqual(events.map(({ sequenceId }) => sequenceId));
});
