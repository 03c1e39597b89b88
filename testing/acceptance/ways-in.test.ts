// One decision for every way in: whichever way a client comes, the same rule gives the same answer, and what is intercepted looks
// the same to the handler.
import { once } from 'node:events';
import { connect } from 'node:http2';

import type { MitmConfigInput, RawRequest } from 'soth-mitm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import { curl, hasCommand, type ProgramResult } from '../lab/clients.ts';
import { type HttpOrigin, type HttpsOrigin, startHttpOrigin, startHttpsOrigin } from '../lab/origins.ts';
import { type LabProxy, startProxy } from '../lab/proxy.ts';
import { type OpenWays, openWays, type WayIn, waysIn } from '../lab/ways-in.ts';

const names = ['read.example', 'tunnelled.example', 'blocked.example'];

let authority: LabAuthority;
let secure: HttpsOrigin;
let plain: HttpOrigin;
beforeAll(async () => {
  authority = await createLabAuthority();
  secure = await startHttpsOrigin({ authority, names });
  plain = await startHttpOrigin();
});
afterAll(async () => {
  await secure[Symbol.asyncDispose]();
  await plain[Symbol.asyncDispose]();
  await authority[Symbol.asyncDispose]();
});

const rules: MitmConfigInput['interception'] = {
  destinations: ['read.example:*'],
  ignoreHosts: ['tunnelled.example'],
  blockedHosts: ['blocked.example'],
};

/** What the rules say of each name. */
const verdicts = {
  'read.example': { action: 'intercept', reason: 'interception_scope_match' },
  'tunnelled.example': { action: 'tunnel', reason: 'ignored_host' },
  'blocked.example': { action: 'block', reason: 'blocked_host' },
} as const;

interface Watched extends AsyncDisposable {
  readonly proxy: LabProxy;
  readonly requests: readonly RawRequest[];
}

/** A proxy with every way in, which sends all that it lets through to one origin. */
async function startWatched(
  ways: OpenWays,
  originPort: number,
  fields: Partial<MitmConfigInput> = {},
): Promise<Watched> {
  const requests: RawRequest[] = [];
  const proxy = await startProxy({
    trusts: authority,
    config: {
      ...ways.config,
      ...fields,
      interception: rules,
      routeMode: 'reverse',
      reverseUpstream: { host: '127.0.0.1', port: originPort },
    },
    handler: {
      onRequest: (request) => {
        requests.push(request);
        return { action: 'allow' };
      },
    },
  });
  return { proxy, requests, [Symbol.asyncDispose]: async () => await proxy[Symbol.asyncDispose]() };
}

function verdictsOf({ events }: LabProxy): unknown[] {
  return events
    .events()
    .flatMap((event) =>
      event.kind === 'connect_decision'
        ? [{ host: event.context.serverHost, action: event.action, reason: event.reason }]
        : [],
    );
}

/** Trusts both authorities, so that the answer does not depend on who is met. */
async function ask(
  way: WayIn,
  proxy: LabProxy,
  url: string,
  more: readonly string[] = [],
): Promise<ProgramResult> {
  return await curl(['-sS', '-k', '-i', ...way.curlArguments(proxy), ...more, url]);
}

const hasCurl = await hasCommand('curl');

describe.skipIf(!hasCurl).each(waysIn)('by $name', (way) => {
  test.each(Object.entries(verdicts))('TLS to %s is judged alike', async (host, verdict) => {
    await using ways = await openWays();
    await using watched = await startWatched(ways, secure.port);
    const { proxy, requests } = watched;
    const { stdout, code } = await ask(way, proxy, `https://${host}/path?query`);
    const { action } = verdict;
    // A refused CONNECT is an error to curl, a refused direct connection an answer.
    expect([code === 0, stdout.toString().endsWith('ok')]).toEqual([
      action !== 'block' || way.isDirect,
      action !== 'block',
    ]);
    expect(verdictsOf(proxy)).toEqual([{ host, ...verdict }]);
    expect(requests.map(({ authority: named, path, scheme }) => [named, path, scheme])).toEqual(
      action === 'intercept' ? [[host, '/path?query', 'https']] : [],
    );
    await proxy.finish();
  });

  test.each(Object.entries(verdicts))('plain HTTP to %s is judged alike', async (host, verdict) => {
    await using ways = await openWays();
    await using watched = await startWatched(ways, plain.port);
    const { proxy, requests } = watched;
    const { stdout, code } = await ask(way, proxy, `http://${host}/path`);
    expect(verdictsOf(proxy)).toEqual([{ host, ...verdict }]);
    const { action } = verdict;
    expect(stdout.toString().endsWith('ok')).toBe(action !== 'block');
    // Where SOCKS says no, there is no HTTP.
    const status = stdout.toString().slice(9, 12);
    expect(status).toBe(code === 0 ? (action === 'block' ? '403' : '200') : '');
    expect(requests.map(({ authority: named }) => named)).toEqual(action === 'intercept' ? [host] : []);
    await proxy.finish();
  });
});

describe('on one connection every request is judged by its own name', () => {
  const expected = Object.entries(verdicts).map(([host, verdict]) => ({ host, ...verdict }));

  test.skipIf(!hasCurl)('absolute targets in HTTP/1', async () => {
    await using ways = await openWays();
    await using watched = await startWatched(ways, plain.port);
    const { proxy } = watched;
    const args = Object.keys(verdicts).flatMap((host, index) => [
      ...(index === 0 ? [] : ['--next']),
      '-sS',
      '-o',
      '/dev/null',
      '-w',
      '%{http_code} ',
      '-x',
      `http://127.0.0.1:${proxy.port}`,
      `http://${host}/`,
    ]);
    expect((await curl(args)).stdout.toString()).toBe('200 200 403 ');
    expect(verdictsOf(proxy)).toEqual(expected);
    expect(proxy.handle.metrics().totalConnections).toBe(1);
    await proxy.finish();
  });

  test('authorities of HTTP/2 streams', async () => {
    await using ways = await openWays();
    await using watched = await startWatched(ways, plain.port, { http2Bridge: true });
    const { proxy } = watched;
    const session = connect(`http://127.0.0.1:${proxy.port}`);
    const statuses: unknown[] = [];
    for (const host of Object.keys(verdicts)) {
      const stream = session.request({ ':authority': host, ':path': '/' });
      const [head]: { readonly ':status'?: number }[] = await once(stream, 'response');
      statuses.push(head?.[':status']);
      stream.resume();
      await once(stream, 'close');
    }
    session.close();
    await once(session, 'close');
    expect(statuses).toEqual([200, 200, 403]);
    expect(verdictsOf(proxy)).toEqual(expected);
    await proxy.finish();
  });
});
