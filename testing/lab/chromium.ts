// The browser Chromium as a stranger to the project: headless, with a profile and a certificate database of its own that are thrown away,
// sent through the proxy by its own flag, and driven over the DevTools protocol.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import type { Readable } from 'node:stream';

import { WebSocket } from 'ws';

import { hasCommand } from './clients.ts';
import { within } from './deadline.ts';
import { runProgram } from './programs.ts';
import { temporaryDirectory } from './temporary.ts';

const startMs = 60_000;
const callMs = 60_000;

/** Why there is no browser to test with; undefined where there is one. */
export async function missingBrowser(): Promise<string | undefined> {
  if (!(await hasCommand('chromium'))) return 'chromium is not installed';
  return (await hasCommand('certutil')) ? undefined : 'certutil, of libnss3-tools, is not installed';
}

/** One page of a browser. */
interface BrowserPage {
  /** Goes to an address and waits until it is there. */
  open(url: string): Promise<void>;
  /** Runs the body of an async function in the page and answers what it returns, as JSON. */
  run(body: string): Promise<unknown>;
}

export interface Browser extends AsyncDisposable {
  readonly page: BrowserPage;
}

export interface BrowserOptions {
  readonly proxyPort: number;
  /** A file with the CA that it shall trust. */
  readonly caFile: string;
}

// Nothing of its own is to be seen in the traffic, as far as flags can help it.
const flags = [
  '--headless=new',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--no-first-run',
  '--no-default-browser-check',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-default-apps',
  '--disable-extensions',
  '--disable-sync',
  '--disable-domain-reliability',
  '--disable-features=OptimizationHints,MediaRouter,Translate',
  '--metrics-recording-only',
  '--no-pings',
  '--remote-debugging-port=0',
  // Loopback is sent through a proxy only when told so.
  '--proxy-bypass-list=<-loopback>',
];

/** Starts a browser with one empty page. */
export async function startBrowser(options: BrowserOptions): Promise<Browser> {
  const home = await temporaryDirectory('soth-browser-');
  const cleanUp: (() => PromiseLike<void>)[] = [() => home[Symbol.asyncDispose]()];
  const dispose = async (): Promise<void> => {
    for (const undo of cleanUp.toReversed()) await undo();
  };
  try {
    // Which of them it reads depends on its version.
    for (const place of ['.pki/nssdb', '.local/share/pki/nssdb'])
      await trustInDatabase(home.resolve(place), options.caFile);
    const child = spawn(
      'chromium',
      [
        ...flags,
        `--user-data-dir=${home.resolve('profile')}`,
        `--proxy-server=127.0.0.1:${options.proxyPort}`,
        'about:blank',
      ],
      {
        env: { PATH: process.env['PATH'], HOME: home.path, LANG: 'C.UTF-8' },
        stdio: ['ignore', 'ignore', 'pipe'],
        detached: true,
      },
    );
    cleanUp.push(() => ended(child));
    const devTools = await DevTools.dial(await debuggerUrl(child));
    cleanUp.push(() => devTools.close());
    return { page: await openPage(devTools), [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** Makes an NSS database that trusts one CA for servers. */
export async function trustInDatabase(database: string, caFile: string): Promise<void> {
  await mkdir(database, { recursive: true });
  for (const args of [
    ['-N', '--empty-password'],
    ['-A', '-n', 'lab', '-t', 'C,,', '-i', caFile],
  ]) {
    const { code, stderr } = await runProgram('certutil', ['-d', `sql:${database}`, ...args]);
    if (code !== 0) throw new Error(`certutil failed: ${stderr}`);
  }
}

type BrowserProcess = ChildProcessByStdio<null, null, Readable>;

/** Where the browser listens: it says so on its standard error. */
function debuggerUrl(child: BrowserProcess): Promise<string> {
  let text = '';
  const listening = new Promise<string>((resolve, reject) => {
    child.stderr.on('data', (piece: Buffer) => {
      text = `${text}${piece.toString()}`.slice(-100_000);
      const url = /DevTools listening on (ws:\S+)/.exec(text)?.[1];
      if (url !== undefined) resolve(url);
    });
    child.once('error', reject);
    child.once('exit', () => reject(new Error(`chromium ended: ${text.slice(-2_000)}`)));
  });
  return within(listening, startMs, () => `the start of chromium (${text.slice(-2_000)})`);
}

/** Ends the browser and what it started. */
async function ended(child: BrowserProcess): Promise<void> {
  const { pid } = child;
  if (pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  process.kill(-pid, 'SIGKILL');
  await exit;
}

async function openPage(devTools: DevTools): Promise<BrowserPage> {
  const target = await devTools.call('Target.createTarget', { url: 'about:blank' });
  const attached = await devTools.call('Target.attachToTarget', {
    targetId: textOf(target, 'targetId'),
    flatten: true,
  });
  const sessionId = textOf(attached, 'sessionId');
  await devTools.call('Page.enable', {}, sessionId);
  return {
    async open(url) {
      const loaded = devTools.event('Page.loadEventFired', sessionId);
      const answer = await devTools.call('Page.navigate', { url }, sessionId);
      const problem = answer['errorText'];
      if (problem !== undefined) throw new Error(`${url} did not open: ${JSON.stringify(problem)}`);
      await within(loaded, callMs, `the page ${url}`);
    },
    async run(body) {
      const expression = `(async () => { ${body} })()`;
      const parameters = { expression, awaitPromise: true, returnByValue: true };
      const answer = await devTools.call('Runtime.evaluate', parameters, sessionId);
      if (answer['exceptionDetails'] !== undefined)
        throw new Error(`the page failed: ${JSON.stringify(answer['exceptionDetails'])}`);
      const { result } = answer;
      return isRecord(result) ? result['value'] : undefined;
    },
  };
}

type Answer = Readonly<Record<string, unknown>>;

/** The DevTools protocol: numbered calls, their answers, and events. */
class DevTools {
  readonly #socket: WebSocket;
  readonly #calls = new Map<number, (answer: Answer) => void>();
  readonly #events = new Map<string, () => void>();
  #nextId = 1;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('error', () => {}); // a call that waits says what it waited for
    socket.on('message', (data: Buffer) => this.#heard(data.toString()));
  }

  static async dial(url: string): Promise<DevTools> {
    const socket = new WebSocket(url, { maxPayload: 256 * 1024 * 1024 });
    await within(once(socket, 'open'), startMs, 'the DevTools of chromium');
    return new DevTools(socket);
  }

  async call(method: string, params: object, sessionId?: string): Promise<Answer> {
    const id = this.#nextId;
    this.#nextId += 1;
    const answered = new Promise<Answer>((resolve) => {
      this.#calls.set(id, resolve);
    });
    this.#socket.send(JSON.stringify({ id, method, params, sessionId }));
    const answer = await within(answered, callMs, method);
    if (answer['error'] !== undefined)
      throw new Error(`${method} failed: ${JSON.stringify(answer['error'])}`);
    const { result } = answer;
    return isRecord(result) ? result : {};
  }

  /** Resolves with the next event of this name. */
  event(method: string, sessionId: string): Promise<void> {
    return new Promise((resolve) => {
      this.#events.set(`${sessionId} ${method}`, resolve);
    });
  }

  async close(): Promise<void> {
    this.#socket.terminate();
  }

  #heard(line: string): void {
    const message: unknown = JSON.parse(line);
    if (!isRecord(message)) return;
    const { id, method, sessionId } = message;
    if (typeof id === 'number') {
      this.#calls.get(id)?.(message);
      this.#calls.delete(id);
    } else this.#events.get(`${String(sessionId)} ${String(method)}`)?.();
  }
}

function isRecord(value: unknown): value is Answer {
  return typeof value === 'object' && value !== null;
}

function textOf(answer: Answer, name: string): string {
  const value = answer[name];
  if (typeof value !== 'string') throw new TypeError(`chromium told no ${name}`);
  return value;
}
