// A proxy that has used up its descriptors: whoever it has is served, whoever it can't take hears so at once, and when there is room
// again nobody notices that there was none.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

import { expect, test } from 'vitest';

import { createLabAuthority } from '../lab/certificates.ts';
import { hasCommand } from '../lab/clients.ts';
import { KeepAliveClient } from '../lab/keep-alive-client.ts';
import { startHttpOrigin } from '../lab/origins.ts';
import { descriptorCount, hasProcessUsage, untilAtMost } from '../lab/process-usage.ts';
import { runProgram } from '../lab/programs.ts';
import { startProxyProcess } from '../lab/proxy-process.ts';

const canLimit = hasProcessUsage && (await hasCommand('prlimit'));
/** Descriptors that are left when the crowd comes. */
const roomCount = 12;
const crowdCount = 60;

async function limit(pid: number, count: number): Promise<void> {
  const { code, stderr } = await runProgram('prlimit', ['--pid', String(pid), `--nofile=${count}:`]);
  expect([code, stderr]).toEqual([0, '']);
}

/** Clients that connect and say nothing. */
async function gather(port: number): Promise<readonly Socket[]> {
  const crowd = Array.from({ length: crowdCount }, () => connect({ host: '127.0.0.1', port }));
  for (const socket of crowd) {
    socket.on('error', () => {});
    socket.resume();
  }
  await Promise.all(crowd.map((socket) => Promise.race([once(socket, 'connect'), once(socket, 'close')])));
  return crowd;
}

test.skipIf(!canLimit)(
  'the accept loop goes on, and recovers (needs prlimit)',
  { timeout: 40_000 },
  async ({ annotate }) => {
    await using authority = await createLabAuthority();
    await using origin = await startHttpOrigin();
    await using elsewhere = await startHttpOrigin();
    await using proxy = await startProxyProcess({ trusts: authority });
    const target = { proxyPort: proxy.port, authority: origin.authority };
    const kept = await KeepAliveClient.dialPlain(target);
    expect((await kept.ask('/'))?.body).toBe('ok');
    const stranger = await KeepAliveClient.dialPlain({ ...target, authority: elsewhere.authority });
    const before = await descriptorCount(proxy.pid);
    await limit(proxy.pid, before + roomCount);
    const crowd = await gather(proxy.port);
    const openCount = (): number => crowd.filter(({ closed }) => !closed).length;
    // Those that got no descriptor are not left waiting.
    const stayedCount = await untilAtMost(openCount, roomCount + 3, 10_000);
    // Whoever is there already is served, and told at once where a new connection would be needed.
    expect((await kept.ask('/'))?.body).toBe('ok');
    expect((await stranger.ask('/'))?.head).toMatch(/^HTTP\/1\.1 502 /);
    expect(elsewhere.requests).toHaveLength(0);
    for (const socket of crowd) socket.destroy();
    await untilAtMost(() => descriptorCount(proxy.pid), before + 2, 10_000);
    const newcomer = await KeepAliveClient.dialPlain(target);
    expect((await newcomer.ask('/'))?.body).toBe('ok');
    expect((await stranger.ask('/'))?.body).toBe('ok');
    await annotate(`${stayedCount} of ${crowdCount} clients got a descriptor, the others were closed`);
    for (const client of [kept, stranger, newcomer]) await client.close();
    await limit(proxy.pid, 1_024);
    await proxy.finish();
  },
);
