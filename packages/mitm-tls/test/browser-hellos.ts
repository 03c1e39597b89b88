// ClientHellos of real browsers, without a window and with a profile that is thrown away.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

import { type TemporaryDirectory, temporaryDirectory } from '../../../testing/lab/temporary.ts';
import { caughtHello } from './hellos.ts';

/** The hello of Chromium for a host name. */
export function helloOfChromium(hostName: string): Promise<Buffer> {
  return helloOfBrowser((port, home) => [
    'chromium',
    [
      '--headless=new',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--no-first-run',
      '--disable-background-networking',
      '--no-proxy-server',
      `--user-data-dir=${home.resolve('profile')}`,
      `--host-resolver-rules=MAP ${hostName} 127.0.0.1`,
      `https://${hostName}:${port}/`,
    ],
  ]);
}

/** The hello of Firefox for localhost. */
export function helloOfFirefox(): Promise<Buffer> {
  return helloOfBrowser((port, home) => [
    'firefox-esr',
    ['--headless', '--no-remote', '--profile', home.path, `https://localhost:${port}/`],
  ]);
}

async function helloOfBrowser(
  commandFor: (port: number, home: TemporaryDirectory) => readonly [string, readonly string[]],
): Promise<Buffer> {
  await using home = await temporaryDirectory('soth-browser-');
  const children: ChildProcess[] = [];
  try {
    return await caughtHello((port) => {
      const [command, args] = commandFor(port, home);
      const env = {
        ...process.env,
        HOME: home.path,
        DBUS_SESSION_BUS_ADDRESS: 'disabled:',
        LC_ALL: 'C.UTF-8',
      };
      children.push(spawn(command, args, { env, stdio: 'ignore', detached: true }));
      return () => {};
    });
  } finally {
    for (const child of children) await ended(child);
  }
}

/** Ends a browser and what it started. */
async function ended(child: ChildProcess): Promise<void> {
  const { pid } = child;
  if (pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  process.kill(-pid, 'SIGKILL');
  await exit;
}
