// Chromium and Firefox trust the CA once `soth-mitm ca install --store nss` has put it into their databases, and not before: each
// visits a server whose certificate the CA has signed, which sees it only if it does.
import { spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import { fileURLToPath } from 'node:url';

import { generateCa, LeafIssuer } from 'soth-mitm';
import { expect, test } from 'vitest';

import { hasCommand } from '../lab/clients.ts';
import { within } from '../lab/deadline.ts';
import { type Listening, listen } from '../lab/listening.ts';
import { runProgram } from '../lab/programs.ts';
import { type TemporaryDirectory, temporaryDirectory } from '../lab/temporary.ts';

const main = fileURLToPath(new URL('../../apps/sidecar/dist/main.js', import.meta.url));
const visitMs = 45_000;

interface Browser {
  readonly command: string;
  /** Makes what the browser would have made at its first start. */
  prepare(home: TemporaryDirectory): Promise<void>;
  argumentsIn(home: TemporaryDirectory, url: string): readonly string[];
}

const profile = '.mozilla/firefox/lab.default';

const browsers: readonly Browser[] = [
  {
    command: 'chromium',
    prepare: () => Promise.resolve(),
    argumentsIn: (home, url) => [
      '--headless=new',
      '--no-sandbox',
      '--disable-gpu',
      '--no-proxy-server',
      `--user-data-dir=${home.resolve('chromium')}`,
      '--dump-dom',
      url,
    ],
  },
  {
    command: 'firefox-esr',
    prepare: async (home) => {
      const folder = home.resolve(profile);
      await mkdir(folder, { recursive: true });
      await writeFile(`${folder}/user.js`, 'user_pref("network.proxy.type", 0);\n');
      await runProgram('certutil', ['-N', '-d', `sql:${folder}`, '--empty-password']);
    },
    argumentsIn: (home, url) => [
      '--headless',
      '--no-remote',
      '--profile',
      home.resolve(profile),
      '--screenshot',
      home.resolve('page.png'),
      url,
    ],
  },
];

/** Whether the browser says anything of its own about what it was refused does not matter: the server sees it, or does not. */
async function visit(
  browser: Browser,
  place: { readonly home: TemporaryDirectory; readonly server: Server; readonly port: number },
): Promise<'seen' | 'refused'> {
  const { home, server, port } = place;
  const leaving = new AbortController();
  const { signal } = leaving;
  // A browser that refuses tells the server so by an alert, or by leaving.
  const refused = once(server, 'tlsClientError', { signal }).then(() => 'refused' as const);
  const seen = once(server, 'request', { signal }).then(() => 'seen' as const);
  const url = `https://localhost:${port}/`;
  const { PATH } = process.env;
  const args = browser.argumentsIn(home, url);
  const running = spawn(browser.command, args, { env: { PATH, HOME: home.path }, stdio: 'ignore' });
  const ended = once(running, 'close');
  try {
    return await within(Promise.race([refused, seen]), visitMs, `${browser.command} at the server`);
  } finally {
    leaving.abort();
    // On its page of errors it would stay for ever. It writes to its profile until it has ended.
    running.kill('SIGTERM');
    await Promise.allSettled([refused, seen, within(ended, visitMs, `the end of ${browser.command}`)]);
  }
}

for (const browser of browsers) {
  const { command } = browser;
  const isMissing = !(await hasCommand(command)) || !(await hasCommand('certutil'));
  test.skipIf(isMissing)(
    `${command} accepts servers of the CA from ca install on (skipped without it and certutil)`,
    async () => {
      await using home = await temporaryDirectory('soth-browser-');
      await browser.prepare(home);
      const ca = await generateCa();
      const caFile = await home.write('ca.pem', ca.certificatePem);
      const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const key = keys.privateKey.export({ type: 'pkcs8', format: 'pem' });
      const cert = new LeafIssuer(ca, keys).issue(['localhost']).certificatePem;
      const server = createServer({ key, cert }, (_request, response) => response.end('<p>seen</p>'));
      await using listening: Listening = await listen(server);
      const place = { home, server, port: listening.port };
      expect(await visit(browser, place)).toBe('refused');
      const args = [main, 'ca', 'install', '--store', 'nss', '--ca-cert', caFile];
      const installed = await runProgram(process.execPath, args, { environment: { HOME: home.path } });
      expect(installed.stdout.toString()).toMatch(/^trusted now: nss .+\n$/);
      expect(await visit(browser, place)).toBe('seen');
    },
    3 * visitMs,
  );
}
