// The event log of the built program under real traffic: what is in it, what is not, and what is left of it when the program is
// killed in the middle.
import { readFile, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { EventLogReader, EventRecorder, replayEvents } from 'soth-mitm';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { createLabAuthority, type LabAuthority } from '../lab/certificates.ts';
import { httpsThroughProxy } from '../lab/clients.ts';
import { expectClosedOnce, expectOrdered } from '../lab/events.ts';
import { type HttpsOrigin, startHttpsOrigin } from '../lab/origins.ts';
import { runProgram } from '../lab/programs.ts';
import { ProgramProcess } from './program-process.ts';

const main = fileURLToPath(new URL('../../apps/sidecar/dist/main.js', import.meta.url));
const secret = 'hunter2-is-no-password';

let authority: LabAuthority;
beforeAll(async () => {
  authority = await createLabAuthority();
});
afterAll(() => authority[Symbol.asyncDispose]());

/** An origin whose every answer is two server-sent events, the first of them a secret. */
function startOrigin(): Promise<HttpsOrigin> {
  return startHttpsOrigin({
    authority,
    handler: (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.end(`event: note\ndata: ${secret}\n\ndata: two\n\n`);
    },
  });
}

/** The program with a log, and a chain to it. */
async function startLogging(): Promise<ProgramProcess> {
  const upstreamCa = await authority.caFile();
  return ProgramProcess.start(
    async (folder) => {
      await folder.write('key', 'k'.repeat(32));
      const log = ['--event-log', 'events.jsonl', '--upstream-ca', upstreamCa];
      return ['run', '--listen', '127.0.0.1:0', ...log];
    },
    { environment: { SOTH_MITM_EVENT_LOG_V2_HMAC_KEY_PATH: 'key' } },
  );
}

/** Sends one request whose target holds the secret. */
async function ask(program: ProgramProcess, origin: HttpsOrigin): Promise<number> {
  const answer = await httpsThroughProxy({
    proxyPort: await program.port(),
    url: `https://localhost:${origin.port}/events?q=${secret}&access_token=${secret}`,
    ca: await readFile(program.folder.resolve('.soth-mitm', 'ca.pem'), 'utf8'),
  });
  return answer.status;
}

/** Runs `soth-mitm log` on the log of a program that has ended. */
async function runLog(program: ProgramProcess, action: string, ...options: readonly string[]) {
  const path = program.folder.resolve('events.jsonl');
  const { code, stdout } = await runProgram(process.execPath, [main, 'log', action, path, ...options]);
  return { code, out: stdout.toString() };
}

test('a log says what was asked and answered, and no secret of it', async () => {
  await using origin = await startOrigin();
  await using program = await startLogging();
  for (let count = 0; count < 3; count += 1) expect(await ask(program, origin)).toBe(200);
  program.signal('SIGTERM');
  expect(await program.end()).toBe(0);

  const path = program.folder.resolve('events.jsonl');
  const text = await readFile(path, 'utf8');
  expect(text).not.toContain(secret);
  expect(text).toContain('"target":"/events?q=[redacted]&access_token=[redacted]"');
  expect(text).toContain(`"data_len":"${secret.length}"`);

  const events = new EventRecorder();
  await replayEvents(new EventLogReader({ path }).records(), events);
  expectOrdered(events.events());
  expectClosedOnce(events.events());
  expect(events.kinds().filter((kind) => kind === 'sse_event')).toHaveLength(6);
  expect((await runLog(program, 'show')).out).toBe(text);
  const checked = await runLog(program, 'verify', '--key', program.folder.resolve('key'));
  expect(checked).toEqual({ code: 0, out: expect.stringMatching(/^intact: .*closed in order\n$/) });
});

test('a program that is killed leaves a log that is read up to its last whole line, and an index that can be made again', async () => {
  await using origin = await startOrigin();
  await using program = await startLogging();
  for (let count = 0; count < 20; count += 1) expect(await ask(program, origin)).toBe(200);
  const more = Array.from({ length: 20 }, () => ask(program, origin));
  await Promise.race(more);
  program.signal('SIGKILL');
  await Promise.allSettled(more);
  await expect(program.end()).rejects.toThrow('SIGKILL');

  const path = program.folder.resolve('events.jsonl');
  const kinds = new Map<string, number>();
  let last = 0;
  for await (const record of new EventLogReader({ path }).records()) {
    expect(record.sequence_id).toBe(last + 1);
    last = record.sequence_id;
    kinds.set(record.kind, (kinds.get(record.kind) ?? 0) + 1);
  }
  // What was over is written, but for the last moments.
  expect(kinds.get('request_headers')).toBeGreaterThanOrEqual(15);
  const checked = await runLog(program, 'verify', '--key', program.folder.resolve('key'));
  expect(checked).toEqual({ code: 0, out: expect.stringContaining('not closed in order') });
  await rm(`${path}.index.tsv`);
  expect(await runLog(program, 'index')).toEqual({ code: 0, out: expect.stringMatching(`^${last} lines`) });
  const shown = await runLog(program, 'show', '--from', String(last));
  expect(JSON.parse(shown.out)).toMatchObject({ sequence_id: last });
});
