// A proxy from start to shutdown: what it needs, what a reload changes, and how it ends.
import { readFile } from 'node:fs/promises';

import { afterEach, describe, expect, test } from 'vitest';

import { createLabAuthority } from '../../../testing/lab/certificates.ts';
import { httpsThroughProxy, httpThroughProxy } from '../../../testing/lab/clients.ts';
import { expectClosedOnce, expectOrdered } from '../../../testing/lab/events.ts';
import { startHttpOrigin, startHttpsOrigin } from '../../../testing/lab/origins.ts';
import { temporaryDirectory } from '../../../testing/lab/temporary.ts';
import { allow, block, ConfigError, createMitmProxy, MitmError, ReloadError } from '../src/index.ts';
import { cleanUps, keep, startProxy } from './proxy-lab.ts';

afterEach(async () => {
  for (const resource of cleanUps.splice(0).toReversed()) await resource[Symbol.asyncDispose]();
});

describe('an intercepted HTTPS exchange', () => {
  test('is shown to the handler, forwarded, and closed once', async () => {
    const authority = await createLabAuthority();
    const origin = keep(await startHttpsOrigin({ authority }));
    const caFile = await authority.caFile();
    const seen: string[] = [];
    const { proxy, recorder } = await startProxy(
      { upstream: { caPaths: [caFile] } },
      {
        onConnectionOpen: () => void seen.push('open'),
        onRequest: (request) => {
          seen.push(`${request.method} ${request.scheme}://${request.authority}${request.path}`);
          return allow;
        },
        onResponse: (response) => void seen.push(`${response.status} ${response.body.length}`),
        onStreamEnd: (_connection, flowId) => void seen.push(`end ${flowId}`),
        onConnectionClose: () => void seen.push('close'),
      },
    );
    const answer = await httpsThroughProxy({
      proxyPort: proxy.address.port,
      url: `https://localhost:${origin.port}/hello`,
      ca: proxy.ca.certificatePem,
    });
    expect([answer.status, answer.body.toString()]).toEqual([200, 'ok']);
    await proxy.shutdown();
    expect(seen).toEqual([
      'open',
      `GET https://localhost:${origin.port}/hello`,
      '200 2',
      'end 2',
      'end 1',
      'close',
    ]);
    expectOrdered(recorder.events());
    expectClosedOnce(recorder.events());
    expect(proxy.metrics()).toMatchObject({ activeConnections: 0, activeFlows: 0, requestCount: 1 });
  });

  test('that a handler blocks reaches the origin with no byte', async () => {
    const origin = keep(await startHttpOrigin());
    const { proxy } = await startProxy({}, { onRequest: () => block(403, 'no\n') });
    const answer = await httpThroughProxy({
      proxyPort: proxy.address.port,
      url: `http://localhost:${origin.port}/blocked`,
    });
    expect([answer.status, answer.body.toString(), origin.requests.length]).toEqual([403, 'no\n', 0]);
  });
});

describe('what stands in the way of a start is one clear error', () => {
  test('an invalid configuration names every problem, before anything is opened', () => {
    let problems: readonly string[] = [];
    try {
      createMitmProxy({ config: { bind: 'nowhere', interception: { destinations: [] } } });
    } catch (error) {
      problems =
        error instanceof ConfigError ? error.problems.map((problem) => problem.path) : [String(error)];
    }
    expect(problems.toSorted()).toEqual(['bind', 'interception.destinations']);
  });

  test('a taken port', async () => {
    const { proxy } = await startProxy();
    const second = startProxy({ bind: `127.0.0.1:${proxy.address.port}` });
    await expect(second).rejects.toMatchObject({ code: 'ERR_MITM_LISTEN_FAILED' });
  });

  test('half of a CA pair', async () => {
    const folder = keep(await temporaryDirectory());
    await folder.write('ca.pem', 'there is no key to this');
    const tls = { caCertPath: folder.resolve('ca.pem'), caKeyPath: folder.resolve('ca-key.pem') };
    const start = startProxy({ tls });
    await expect(start).rejects.toMatchObject({ code: 'ERR_MITM_CA_LOAD_FAILED' });
    await expect(start).rejects.toThrow(/ca-key\.pem/);
  });

  test('an event log that can not be written', async () => {
    const folder = keep(await temporaryDirectory());
    await folder.write('file', '');
    const start = startProxy({ eventLog: { path: folder.resolve('file/events.jsonl') } });
    await expect(start).rejects.toMatchObject({ code: 'ERR_MITM_EVENT_LOG_FAILED' });
  });

  test('a second start of the same proxy', async () => {
    const folder = keep(await temporaryDirectory());
    const proxy = createMitmProxy({
      config: {
        bind: '127.0.0.1:0',
        interception: { destinations: ['*:*'] },
        tls: { caCertPath: folder.resolve('c'), caKeyPath: folder.resolve('k') },
      },
    });
    keep(await proxy.start());
    await expect(proxy.start()).rejects.toMatchObject({ code: 'ERR_MITM_ALREADY_STARTED' });
  });
});

describe('reload', () => {
  test('puts new rules in force for new connections', async () => {
    const origin = keep(await startHttpOrigin());
    const { proxy } = await startProxy();
    const url = `http://localhost:${origin.port}/`;
    expect((await httpThroughProxy({ proxyPort: proxy.address.port, url })).status).toBe(200);
    const changed = await proxy.reload({
      ...proxy.currentConfig(),
      interception: { destinations: ['*:*'], blockedHosts: ['localhost'] },
    });
    expect(changed).toContain('interception.blockedHosts');
    expect((await httpThroughProxy({ proxyPort: proxy.address.port, url })).status).toBe(403);
  });

  test('is all or nothing: a listener needs a restart, and is named', async () => {
    const { proxy } = await startProxy();
    const before = proxy.currentConfig();
    const attempt = proxy.reload({ ...before, bind: '127.0.0.1:1', http3Passthrough: true });
    await expect(attempt).rejects.toBeInstanceOf(ReloadError);
    await expect(attempt).rejects.toMatchObject({ keys: ['bind'] });
    expect(proxy.currentConfig()).toBe(before);
  });

  test('reads the certificates of listeners again, and refuses with one that is broken', async () => {
    const authority = keep(await createLabAuthority());
    const files = keep(await temporaryDirectory());
    const { certPem, keyPem } = await authority.issue(['proxy.example']);
    const certPath = await files.write('cert.pem', certPem);
    const tls = { certPath, keyPath: await files.write('key.pem', keyPem) };
    const { proxy } = await startProxy({ listeners: [{ bind: '127.0.0.1:0', tls }] });
    expect(proxy.addresses.map(({ kind }) => kind)).toEqual(['tcp', 'tcp']);
    expect(proxy.addresses[0]).toEqual({ kind: 'tcp', ...proxy.address });
    const next = { ...proxy.currentConfig(), interceptMode: 'monitor' } as const;
    await files.write('cert.pem', 'broken');
    await expect(proxy.reload(next)).rejects.toMatchObject({ code: 'ERR_MITM_LISTEN_FAILED' });
    expect(proxy.currentConfig().interceptMode).toBe('enforce');
    await files.write('cert.pem', certPem);
    expect(await proxy.reload(next)).toEqual(['interceptMode']);
  });

  test('refuses an invalid configuration and keeps the old one', async () => {
    const { proxy } = await startProxy();
    const before = proxy.currentConfig();
    await expect(proxy.reload({ interception: { destinations: [] } })).rejects.toBeInstanceOf(ConfigError);
    expect(proxy.currentConfig()).toBe(before);
  });
});

describe('shutdown', () => {
  test('is the same promise however often it is asked for', async () => {
    const { proxy } = await startProxy();
    expect(proxy.shutdown()).toBe(proxy.shutdown());
    await proxy.shutdown();
  });

  test('follows the signal, and run() resolves when it is through', async () => {
    const folder = keep(await temporaryDirectory());
    const controller = new AbortController();
    const running = createMitmProxy({
      signal: controller.signal,
      config: {
        bind: '127.0.0.1:0',
        interception: { destinations: ['*:*'] },
        tls: { caCertPath: folder.resolve('c'), caKeyPath: folder.resolve('k') },
        eventLog: { path: folder.resolve('events.jsonl') },
      },
    }).run();
    controller.abort();
    await running;
    expect(await readFile(folder.resolve('events.jsonl'), 'utf8')).toBe('');
  });

  test('that has to cut a connection says so', async () => {
    const origin = keep(await startHttpOrigin(() => new Promise(() => {})));
    const { proxy, recorder } = await startProxy();
    const pending = httpThroughProxy({
      proxyPort: proxy.address.port,
      url: `http://localhost:${origin.port}/`,
    }).then(
      () => 'answered',
      () => 'cut',
    );
    await recorder.waitFor('request_headers', 5_000);
    cleanUps.splice(cleanUps.indexOf(proxy), 1);
    const stopped = proxy.shutdown(20);
    await expect(stopped).rejects.toBeInstanceOf(MitmError);
    await expect(stopped).rejects.toMatchObject({ code: 'ERR_MITM_SHUTDOWN_TIMEOUT' });
    expect(await pending).toBe('cut');
    expectClosedOnce(recorder.events());
  });
});

test('a key log that cannot be opened is an error at the start', async () => {
  const folder = keep(await temporaryDirectory());
  const tls = {
    caCertPath: folder.resolve('ca.pem'),
    caKeyPath: folder.resolve('ca-key.pem'),
    keyLogPath: folder.resolve('none', 'keys.log'),
  };
  await expect(startProxy({ tls })).rejects.toMatchObject({ code: 'ERR_MITM_KEY_LOG_FAILED' });
});
