// Real browsers that load one page through a proxy: without a window, with a profile of their own that trusts one root and is
// thrown away afterwards.
import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';

import { trustInDatabase } from './chromium.ts';
import { hasCommand } from './clients.ts';
import { within } from './deadline.ts';
import { runProgram } from './programs.ts';
import { type TemporaryDirectory, temporaryDirectory } from './temporary.ts';
import { urlOf, type Verification, wireName } from './verifying-clients.ts';

export interface Browser {
  readonly name: string;
  readonly commands: readonly string[];
  /**
   * Loads the host's page; resolves when the browser has ended, whatever it made of it. A browser that does not end by itself is
   * ended when `judged` settles: the proxy has seen then what it made of the certificate.
   */
  load(asked: Verification, judged: Promise<void>): Promise<void>;
}

/** The first of a browser's programs that is not there; undefined when it can run. */
export async function missingOf({ commands }: Browser): Promise<string | undefined> {
  for (const command of commands) if (!(await hasCommand(command))) return command;
  return undefined;
}

const quiet = { DBUS_SESSION_BUS_ADDRESS: 'disabled:', LC_ALL: 'C.UTF-8' };

async function inChromium(asked: Verification, home: TemporaryDirectory): Promise<void> {
  await trustInDatabase(home.resolve('.pki', 'nssdb'), asked.rootFile);
  await runProgram(
    'chromium',
    [
      '--headless=new',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--no-first-run',
      '--disable-background-networking',
      `--user-data-dir=${home.resolve('profile')}`,
      `--proxy-server=http://127.0.0.1:${asked.proxyPort}`,
      '--dump-dom',
      urlOf(asked.host),
    ],
    { environment: { ...quiet, HOME: home.path }, timeoutMs: 45_000 },
  );
}

async function inFirefox(
  asked: Verification,
  judged: Promise<void>,
  home: TemporaryDirectory,
): Promise<void> {
  const profile = home.resolve('profile');
  await trustInDatabase(profile, asked.rootFile);
  const settings = {
    'network.proxy.type': 1,
    'network.proxy.ssl': '127.0.0.1',
    'network.proxy.ssl_port': asked.proxyPort,
    'network.proxy.http': '127.0.0.1',
    'network.proxy.http_port': asked.proxyPort,
    'datareporting.policy.dataSubmissionEnabled': false,
    'browser.shell.checkDefaultBrowser': false,
    'network.captive-portal-service.enabled': false,
    'network.connectivity-service.enabled': false,
  };
  const lines = Object.entries(settings).map(
    ([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`,
  );
  await writeFile(`${profile}/user.js`, lines.join(''));
  const args = ['--headless', '--no-remote', '--profile', profile, urlOf(wireName(asked.host))];
  const child = spawn('firefox-esr', args, {
    env: { ...process.env, ...quiet, HOME: home.path },
    stdio: 'ignore',
  });
  const ended = new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => resolve());
  });
  try {
    await within(Promise.race([ended, judged]), 45_000, 'what firefox makes of the certificate');
  } finally {
    child.kill('SIGKILL');
    await ended;
  }
}

export const browsers: readonly Browser[] = [
  {
    name: 'chromium',
    commands: ['chromium', 'certutil'],
    load: async (asked) => {
      await using home = await temporaryDirectory();
      await inChromium(asked, home);
    },
  },
  {
    name: 'firefox',
    commands: ['firefox-esr', 'certutil'],
    load: async (asked, judged) => {
      await using home = await temporaryDirectory();
      await inFirefox(asked, judged, home);
    },
  },
];
