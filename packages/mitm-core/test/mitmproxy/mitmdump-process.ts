// The real mitmdump with the add-on of this package, as a process of its own on a port of the system's choice.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { within } from '../../../../testing/lab/deadline.ts';
import { type TemporaryDirectory, temporaryDirectory } from '../../../../testing/lab/temporary.ts';
import { parseTlsCallback, type TlsCallback } from '../../src/mitmproxy/callback.ts';

const addon = fileURLToPath(new URL('../../mitmproxy/soth_mitm_tls.py', import.meta.url));
// Python takes its time to load on a busy machine.
const startDeadlineMs = 25_000;
const pollMs = 20;

/** The program under test: the one on the path, or that of another release. */
export const mitmdump = process.env['SOTH_TEST_MITMDUMP'] ?? 'mitmdump';

export class MitmdumpProcess implements AsyncDisposable {
  readonly port: number;
  /** The CA that clients have to trust. */
  readonly caFile: string;
  readonly #folder: TemporaryDirectory;
  readonly #child: ChildProcess;

  private constructor(folder: TemporaryDirectory, child: ChildProcess, port: number) {
    this.port = port;
    this.caFile = folder.resolve('mitmproxy-ca-cert.pem');
    this.#folder = folder;
    this.#child = child;
  }

  /** Starts it; it trusts origins of one authority only. */
  static async start(originCaFile: string): Promise<MitmdumpProcess> {
    const folder = await temporaryDirectory('soth-mitmdump-');
    const settings = {
      confdir: folder.path,
      connection_strategy: 'lazy',
      ssl_verify_upstream_trusted_ca: originCaFile,
      soth_mitm_tls_log: folder.resolve('tls.jsonl'),
    };
    const args = ['--listen-host', '127.0.0.1', '--listen-port', '0', '-s', addon];
    for (const [name, value] of Object.entries(settings)) args.push('--set', `${name}=${value}`);
    const child = spawn(mitmdump, args, {
      env: { PATH: process.env['PATH'], PYTHONUNBUFFERED: '1', PYTHONDONTWRITEBYTECODE: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    const port = new Promise<number>((resolve, reject) => {
      const hear = (text: string): void => {
        said += text;
        const found = / listening at \S*:(\d+)/.exec(said)?.[1];
        if (found !== undefined) resolve(Number(found));
      };
      child.stdout.setEncoding('utf8').on('data', hear);
      child.stderr.setEncoding('utf8').on('data', hear);
      child.once('error', reject);
      child.once('close', () => reject(new Error(`mitmdump ended: ${said}`)));
    });
    try {
      return new MitmdumpProcess(
        folder,
        child,
        await within(port, startDeadlineMs, () => `mitmdump (${said})`),
      );
    } catch (error) {
      child.kill('SIGKILL');
      await folder[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The callbacks so far, as soon as they satisfy; rejects with what there is when they never do. */
  async callbacks(
    areEnough: (callbacks: readonly TlsCallback[]) => boolean,
  ): Promise<readonly TlsCallback[]> {
    let text = '';
    const found = async (): Promise<readonly TlsCallback[]> => {
      for (;;) {
        text = await readFile(this.#folder.resolve('tls.jsonl'), 'utf8');
        const complete = text.split('\n').slice(0, -1);
        const callbacks = complete.map(parseTlsCallback);
        if (areEnough(callbacks)) return callbacks;
        await new Promise((resolve) => setTimeout(resolve, pollMs));
      }
    };
    return await within(found(), 10_000, () => `callbacks of mitmdump (${text})`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const closed = once(this.#child, 'close');
      this.#child.kill('SIGKILL');
      await closed;
    }
    await this.#folder[Symbol.asyncDispose]();
  }
}
