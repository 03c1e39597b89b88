// The examples that the READMEs show run as they stand, on the built packages.
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';

import { expect, test } from 'vitest';

import { ByteLog } from '../lab/byte-log.ts';
import { httpThroughProxy } from '../lab/clients.ts';
import { startHttpOrigin } from '../lab/origins.ts';
import { temporaryDirectory } from '../lab/temporary.ts';

const folder = fileURLToPath(new URL('../../apps/examples/src/', import.meta.url));
const examples = readdirSync(folder).filter((name) => name.endsWith('.ts') && name !== 'quick-start.ts');

test.each(examples)('%s runs to its end', async (name) => {
  await using place = await temporaryDirectory();
  const child = spawn(process.execPath, [`${folder}${name}`], {
    cwd: place.path,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = new ByteLog(Duplex.from({ readable: child.stdout }));
  const errors = new ByteLog(Duplex.from({ readable: child.stderr }));
  const code = await new Promise((resolve) => child.once('exit', resolve));
  await Promise.all([output.ended(), errors.ended()]);
  expect({ code, errors: errors.received.toString() }).toMatchObject({ code: 0 });
  expect(output.received.length).toBeGreaterThan(0);
});

test('the quick start serves a request, shows it, blocks what it says it blocks, and ends', async () => {
  await using place = await temporaryDirectory();
  await using origin = await startHttpOrigin();
  const child = spawn(process.execPath, [`${folder}quick-start.ts`], {
    cwd: place.path,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const output = new ByteLog(Duplex.from({ readable: child.stdout }));
  try {
    await output.until((bytes) => /listening on .*:\d+\n/.test(bytes.toString()), 20_000);
    const proxyPort = Number(/127\.0\.0\.1:(\d+)/.exec(output.received.toString())?.[1]);
    const allowed = await httpThroughProxy({ proxyPort, url: `http://localhost:${origin.port}/hello` });
    expect([allowed.status, allowed.body.toString()]).toEqual([200, 'ok']);
    const blocked = await httpThroughProxy({ proxyPort, url: `http://localhost:${origin.port}/blocked` });
    expect([blocked.status, blocked.body.toString()]).toEqual([403, 'not through this proxy\n']);
    await output.until('blocked', 5_000);
    expect(output.received.toString()).toContain(`GET http://localhost:${origin.port}/hello`);
    expect(origin.requests.map((request) => request.url)).toEqual(['/hello']);
  } finally {
    child.kill('SIGTERM');
  }
  expect(await exited).toBe(0);
});
