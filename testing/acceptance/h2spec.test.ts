// The HTTP/2 conformance program h2spec (Go) against both places where the proxy is an HTTP/2 server: inside an intercepted
// CONNECT, and on the plain listener by prior knowledge. Skipped where the program is not installed; the same rules stand as
// tests of their own in mitm-http.
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import { startConnectShim } from '../lab/connect-shim.ts';
import { startHttp2Origin, type StreamHandler } from '../lab/http2-peers.ts';
import { runProgram } from '../lab/programs.ts';
import { startProxy } from '../lab/proxy.ts';

const folders = [...(process.env['PATH'] ?? '').split(delimiter), join(homedir(), 'go', 'bin')];
const program = folders.map((folder) => join(folder, 'h2spec')).find((path) => existsSync(path));

let authority: LabAuthority;
beforeAll(async () => {
  authority = await createLabAuthority();
});
afterAll(async () => {
  await authority[Symbol.asyncDispose]();
});

/** Answers what has come whole, with a body of a few bytes: some cases let it through one by one. */
const answerHello: StreamHandler = (stream) => {
  stream.resume();
  stream.on('end', () => {
    if (stream.destroyed) return;
    stream.respond({ ':status': 200, 'content-length': 12 });
    stream.end('hello, world');
  });
};

/** Runs all cases; resolves to the summary line, and to all that was printed where something failed. */
async function casesAgainst(port: number, isTls: boolean): Promise<string> {
  const args = ['-h', '127.0.0.1', '-p', String(port), '-o', '3', ...(isTls ? ['-t', '-k'] : [])];
  const { stdout } = await runProgram(program ?? '', args, { timeoutMs: 120_000 });
  const output = stdout.toString();
  const summary = /(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed/.exec(output);
  return summary?.[4] === '0' ? summary[0] : output;
}

describe.skipIf(program === undefined)('every case of h2spec passes', () => {
  test('inside an intercepted connection', { timeout: 150_000 }, async () => {
    await using origin = await startHttp2Origin({ authority, onStream: answerHello });
    await using proxy = await startProxy({ trusts: authority });
    await using shim = await startConnectShim({ proxyPort: proxy.port, authority: origin.authority });
    expect(await casesAgainst(shim.port, true)).toMatch(/^\d+ tests, \d+ passed, 0 skipped, 0 failed$/);
  });

  test('on the plain listener, in front of one origin', { timeout: 150_000 }, async () => {
    await using origin = await startHttp2Origin({ onStream: answerHello });
    await using proxy = await startProxy({
      config: { routeMode: 'reverse', reverseUpstream: { host: '127.0.0.1', port: origin.port } },
    });
    expect(await casesAgainst(proxy.port, false)).toMatch(/^\d+ tests, \d+ passed, 0 skipped, 0 failed$/);
  });
});
