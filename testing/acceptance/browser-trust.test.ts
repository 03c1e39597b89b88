// Browsers accept what the proxy shows them, whoever signs it, and refuse it when they do not trust the root.
import { readFile } from 'node:fs/promises';

import { generateCa } from 'soth-mitm';
import { describe, expect, test } from 'vitest';

import { type AuthorityFiles, authorityForms } from '../lab/authority-forms.ts';
import { type Browser, browsers, missingOf } from '../lab/browsers.ts';
import { hasCommand } from '../lab/clients.ts';
import { startHttpOrigin } from '../lab/origins.ts';
import { startSigningProxy } from '../lab/signing-proxy.ts';
import { type TemporaryDirectory, temporaryDirectory } from '../lab/temporary.ts';

const name = 'www.lab.test';

/** Of these hosts, those whose certificate a browser accepted: it asked them for their page. */
async function acceptedBy(
  browser: Browser,
  files: AuthorityFiles,
  options: { readonly hosts: readonly string[]; readonly rootFile?: string },
): Promise<string[]> {
  await using origin = await startHttpOrigin();
  await using proxy = await startSigningProxy(files, origin.port);
  const rootFile = options.rootFile ?? files.rootPath;
  const rootPem = await readFile(rootFile, 'utf8');
  const accepted: string[] = [];
  for (const host of options.hosts) {
    const judged = new Promise<void>((resolve) => {
      proxy.events.on('request_headers', ({ context }) => {
        if (context.serverHost !== host) return;
        if (!accepted.includes(host)) accepted.push(host);
        resolve();
      });
      proxy.events.on('tls_handshake_failed', ({ context, peer }) => {
        if (context.serverHost === host && peer === 'downstream') resolve();
      });
    });
    await browser.load({ proxyPort: proxy.address.port, host, rootFile, rootPem }, judged);
  }
  return accepted;
}

async function ownFiles(folder: TemporaryDirectory): Promise<AuthorityFiles> {
  const ca = await generateCa();
  const certPath = await folder.write('ca.pem', ca.certificatePem);
  return { certPath, keyPath: await folder.write('ca-key.pem', ca.privateKeyPem()), rootPath: certPath };
}

describe.each(browsers.map((browser) => [browser.name, browser] as const))('%s', (_name, browser) => {
  test('accepts names, IDN, IPv4 and IPv6 of our own authority', async ({ skip }) => {
    const missing = await missingOf(browser);
    if (missing !== undefined) skip(`${missing} is not installed`);
    await using folder = await temporaryDirectory();
    const hosts = [name, 'xn--bcher-kva.lab.test', '192.0.2.7', '2001:db8::7'];
    expect(await acceptedBy(browser, await ownFiles(folder), { hosts })).toEqual(hosts);
  });

  test('refuses an authority that it does not trust', async ({ skip }) => {
    const missing = await missingOf(browser);
    if (missing !== undefined) skip(`${missing} is not installed`);
    await using folder = await temporaryDirectory();
    const rootFile = await folder.write('other.pem', (await generateCa()).certificatePem);
    const options = { hosts: [name], rootFile };
    expect(await acceptedBy(browser, await ownFiles(folder), options)).toEqual([]);
  });
});

describe('chromium accepts an authority', () => {
  const [chromium] = browsers;
  // The others differ from these in nothing that a browser sees.
  const seen = authorityForms.filter(({ name: form }) => form !== 'RSA-4096' && form !== 'P-521');

  test.for(seen)('$name', async (form, { skip }) => {
    if (chromium === undefined) throw new Error('chromium is the first of the browsers');
    const missing =
      (await missingOf(chromium)) ?? ((await hasCommand(form.command)) ? undefined : form.command);
    if (missing !== undefined) skip(`${missing} is not installed`);
    await using folder = await temporaryDirectory();
    const files = await form.make(folder);
    expect(await acceptedBy(chromium, files, { hosts: [name] })).toEqual([name]);
  });
});
