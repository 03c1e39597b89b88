// The built `soth-mitm` command in a process of its own, for what can only be measured per process: memory and descriptors. It
// intercepts everything, with a CA and an event log in its own folder.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import type { MitmConfigInput } from 'soth-mitm';

import type { LabAuthority } from './certificates.ts';
import { within } from './deadline.ts';
import type { EventLike } from './events.ts';
import { temporaryDirectory } from './temporary.ts';

const main = fileURLToPath(new URL('../../apps/sidecar/dist/main.js', import.meta.url));
const deadlineMs = 20_000;

export interface ProxyProcessOptions {
  readonly trusts: LabAuthority;
  readonly config?: Partial<MitmConfigInput>;
  /** Writes all events, for {@link ProxyProcess.finish} to return. */
  readonly hasEventLog?: boolean;
  /** For Node itself, such as bounds of the heap. */
  readonly nodeFlags?: readonly string[];
}

export interface ProxyProcess extends AsyncDisposable {
  readonly pid: number;
  readonly port: number;
  /** PEM of the authority that clients have to trust. */
  readonly ca: string;
  /** Ends it by SIGTERM, expects the exit code 0, and answers the events of its log. */
  finish(): Promise<readonly EventLike[]>;
}

async function listeningPort(child: ChildProcess): Promise<number> {
  if (child.stderr === null) throw new Error('the program has no standard error');
  const complaints: string[] = [];
  for await (const line of createInterface({ input: child.stderr })) {
    const port = /^SOTH_MITM_STATUS\t.*"listen_port":(\d+)/u.exec(line)?.[1];
    if (port !== undefined) return Number(port);
    complaints.push(line);
  }
  throw new Error(`the program ended before it listened: ${complaints.join('\n')}`);
}

interface LoggedEvent {
  readonly sequence_id: number;
  readonly flow_sequence_id: number;
  readonly flow_id: number;
  readonly kind: string;
  readonly attributes: Readonly<Record<string, string>>;
}

/** The log has no times, so that the order of its lines stands for them. */
function eventOf(line: string, index: number): EventLike {
  const logged: LoggedEvent = JSON.parse(line);
  return {
    sequenceId: logged.sequence_id,
    flowSequenceId: logged.flow_sequence_id,
    kind: logged.kind,
    context: { flowId: logged.flow_id },
    occurredAtMonotonicNs: index + 1,
    reasonCode: logged.attributes['reason_code'],
  };
}

/** Starts the program and answers once it listens. Disposing of it kills it, if it still runs. */
export async function startProxyProcess(options: ProxyProcessOptions): Promise<ProxyProcess> {
  const folder = await temporaryDirectory();
  const eventLog = folder.resolve('events.jsonl');
  const config: MitmConfigInput = {
    bind: '127.0.0.1:0',
    interception: { destinations: ['*:*'] },
    ...(options.hasEventLog === true && { eventLog: { path: eventLog, flushEvery: 1_000 } }),
    ...options.config,
  };
  const configFile = await folder.write('config.json', JSON.stringify(config));
  const trusted = ['--upstream-ca', await options.trusts.caFile()];
  const args = [...(options.nodeFlags ?? []), main, 'run', '--config', configFile, ...trusted];
  const child = spawn(process.execPath, args, {
    cwd: folder.path,
    env: { PATH: process.env['PATH'] },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = once(child, 'exit');
  ended.catch(() => {}); // a program that can't be started is told by the wait for its port
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
      child.kill('SIGKILL');
      await ended;
    }
    await folder[Symbol.asyncDispose]();
  };
  try {
    const port = await within(listeningPort(child), deadlineMs, 'the start of the program');
    child.stderr.resume();
    return {
      pid: child.pid ?? 0,
      port,
      ca: await readFile(folder.resolve('.soth-mitm', 'ca.pem'), 'utf8'),
      finish: async () => {
        child.kill('SIGTERM');
        const [code]: unknown[] = await within(ended, deadlineMs, 'the end of the program');
        if (code !== 0) throw new Error(`the program ended with ${String(code)}`);
        if (options.hasEventLog !== true) return [];
        return (await readFile(eventLog, 'utf8'))
          .split('\n')
          .slice(0, -1)
          .map((line, index) => eventOf(line, index));
      },
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
