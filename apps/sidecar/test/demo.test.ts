import { createMitmProxy, type MitmConfigInput, type MitmProxyHandle } from 'soth-mitm';
import { describe, expect, test } from 'vitest';

import { temporaryDirectory } from '../../../testing/lab/temporary.ts';
import { demoAnswer } from '../src/demo-origin.ts';
import { checkSighting, Demo, withDemoOrigin } from '../src/demo.ts';
import { SelfCheckError } from '../src/exit-reason.ts';

interface Stage {
  readonly demo: Demo;
  readonly proxy: MitmProxyHandle;
  readonly output: string[];
}

async function withDemo(
  change: Partial<MitmConfigInput>,
  act: (stage: Stage) => Promise<void>,
): Promise<void> {
  await using folder = await temporaryDirectory();
  const output: string[] = [];
  const demo = await Demo.open({ writeOut: (text) => output.push(text), environment: {} });
  const config = demo.configure({
    bind: '127.0.0.1:0',
    interception: { destinations: ['elsewhere.test:443'] },
    tls: { caCertPath: folder.resolve('ca.pem'), caKeyPath: folder.resolve('ca-key.pem') },
    ...change,
  });
  const proxy = await createMitmProxy({ config, handler: demo.handler }).start();
  try {
    await act({ demo, proxy, output });
  } finally {
    await proxy.shutdown();
    await demo.close();
  }
}

test('it shows the request that went through, and a command that names the proxy and its CA', async () => {
  await withDemo({}, async ({ demo, proxy, output }) => {
    await demo.show(proxy);
    const text = output.join('');
    expect(text).toMatch(/request {6}POST https:\/\/localhost:\d+\/hello\?from=soth-mitm\n/u);
    expect(text).toContain('{"question":"what does a proxy see?"}');
    expect(text).toContain(`curl --proxy http://127.0.0.1:${proxy.address.port} --cacert `);
    expect(text).toContain(proxy.currentConfig().tls.caCertPath);
  });
});

test('from then on each flow is a line', async () => {
  await withDemo({}, async ({ demo, proxy, output }) => {
    demo.follow(proxy);
    const before = output.length;
    await demo.show(proxy);
    const lines = output.slice(before).filter((text) => text.startsWith('  POST '));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(
      /^ {2}POST {4}200 {5}HTTP\/1\.1 +37 B +\d+ B +[\d.]+ m?s {2}https:\/\/localhost:\d+\//u,
    );
  });
});

test('a request that the configuration does not let through is an error', async () => {
  const interception = { destinations: ['*:*'], blockedHosts: ['localhost'] };
  await withDemo({ interception }, async ({ demo, proxy }) => {
    await expect(demo.show(proxy)).rejects.toThrow(SelfCheckError);
    await expect(demo.show(proxy)).rejects.toThrow('the proxy answered CONNECT with 403');
  });
});

describe('the origin joins what is intercepted and trusted', () => {
  const origin = { authority: 'localhost:9', caPath: '/ca.pem' };
  test.each<readonly [string, object, object]>([
    [
      'to lists',
      { interception: { destinations: ['a:1'], passthroughUnlisted: false }, upstream: { caPaths: ['b'] } },
      {
        interception: { destinations: ['a:1', 'localhost:9'], passthroughUnlisted: false },
        upstream: { caPaths: ['b', '/ca.pem'] },
      },
    ],
    [
      'without upstream settings',
      { interception: { destinations: ['a:1'] } },
      { interception: { destinations: ['a:1', 'localhost:9'] }, upstream: { caPaths: ['/ca.pem'] } },
    ],
    [
      'not where there is no list',
      { interception: { destinations: 'a:1' }, upstream: { caPaths: 'b' } },
      { interception: { destinations: 'a:1' }, upstream: { caPaths: 'b' } },
    ],
  ])('%s', (_rule, config, expected) => {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- files hold what they hold
    expect(withDemoOrigin(config as MitmConfigInput, origin)).toEqual(expected);
  });
});

describe('the self-check compares what client, handler and events saw', () => {
  const body = `${JSON.stringify(demoAnswer('POST', '/hello?from=soth-mitm', 37))}\n`;
  const answer = { status: 200, body, tlsVersion: 'TLSv1.3', issuer: 'CA' };
  const summary = {
    flowId: 1,
    method: 'POST',
    url: '',
    protocol: 'HTTP/1.1',
    status: 200,
    bytesUp: 37,
    bytesDown: Buffer.byteLength(body),
    durationMs: 1,
    note: undefined,
  } as const;
  const seen = { requestBody: '', answerBody: '', answerStatus: 200 };

  test('and is content when they agree', () => {
    expect(() => checkSighting(answer, { summary, ...seen })).not.toThrow();
  });

  test.each([
    ['another status', { ...answer, status: 502 }, summary, 'the status that the client got is 502'],
    ['another body', { ...answer, body: 'x' }, summary, 'the body that the client got is "x"'],
    ['another size', answer, { ...summary, bytesDown: 1 }, 'the size of the answer in the events is 1'],
    ['a missing size', answer, { ...summary, bytesUp: 0 }, 'the size of the request in the events is 0'],
  ])('%s is told', (_rule, got, told, message) => {
    expect(() => checkSighting(got, { summary: told, ...seen })).toThrow(message);
  });
});
