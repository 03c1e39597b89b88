// Every authority that a user may bring, and ours, with every client that is installed: each accepts what it is shown for names
// of every form, and refuses it when it trusts another root.
import { generateKeyPairSync } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';

import { generateCa, LeafIssuer, type MitmProxyHandle } from 'soth-mitm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { type AuthorityFiles, authorityForms } from '../lab/authority-forms.ts';
import { hasCommand } from '../lab/clients.ts';
import { startLeafServer } from '../lab/leaf-server.ts';
import { type HttpOrigin, startHttpOrigin } from '../lab/origins.ts';
import { runProgram } from '../lab/programs.ts';
import { startSigningProxy } from '../lab/signing-proxy.ts';
import { type TemporaryDirectory, temporaryDirectory } from '../lab/temporary.ts';
import { verifyingClients } from '../lab/verifying-clients.ts';

const hosts = ['www.lab.test', 'bücher.lab.test', '192.0.2.7', '2001:db8::7'];

interface Form {
  readonly name: string;
  readonly command: string | undefined;
  readonly make: (folder: TemporaryDirectory) => Promise<AuthorityFiles>;
}

/** The authority that the proxy makes for itself. */
const ours: Form = {
  name: 'our own',
  command: undefined,
  make: (folder) => {
    const certPath = folder.resolve('ca.pem');
    return Promise.resolve({ certPath, keyPath: folder.resolve('ca-key.pem'), rootPath: certPath });
  },
};
const forms: readonly Form[] = [ours, ...authorityForms];

const missing = new Set<string>();
for (const { command } of [...forms, ...verifyingClients]) {
  if (command !== undefined && !(await hasCommand(command))) missing.add(command);
}

let origin: HttpOrigin;
beforeAll(async () => {
  origin = await startHttpOrigin();
});
afterAll(async () => {
  await origin[Symbol.asyncDispose]();
});

describe.each(forms.map((form) => [form.name, form] as const))('an authority: %s', (_name, form) => {
  const isMissing = form.command !== undefined && missing.has(form.command);
  let folder: TemporaryDirectory;
  let files: AuthorityFiles;
  let proxy: MitmProxyHandle;
  let rootPem: string;
  beforeAll(async () => {
    if (isMissing) return;
    folder = await temporaryDirectory();
    files = await form.make(folder);
    proxy = await startSigningProxy(files, origin.port);
    rootPem = await readFile(files.rootPath, 'utf8');
  });
  afterAll(async () => {
    if (isMissing) return;
    await proxy.shutdown();
    await folder[Symbol.asyncDispose]();
  });

  describe.each(verifyingClients.map((client) => [client.name, client] as const))('%s', (_client, client) => {
    const absent = [form.command, client.command].find(
      (command) => command !== undefined && missing.has(command),
    );

    test.for(hosts)('accepts %s', async (host, { skip }) => {
      if (absent !== undefined) skip(`${absent} is not installed`);
      if (host.includes(':') && client.withoutIpv6 !== undefined) skip(client.withoutIpv6);
      const asked = { proxyPort: proxy.address.port, host, rootFile: files.rootPath, rootPem };
      await expect(client.verify(asked)).resolves.toBeUndefined();
    });
  });
});

// Whoever signs, refusing is the same work: one form shows that these clients can.
describe('a client that trusts another root', () => {
  let folder: TemporaryDirectory;
  let proxy: MitmProxyHandle;
  beforeAll(async () => {
    folder = await temporaryDirectory();
    proxy = await startSigningProxy(await ours.make(folder), origin.port);
  });
  afterAll(async () => {
    await proxy.shutdown();
    await folder[Symbol.asyncDispose]();
  });

  test.for(verifyingClients)('refuses: $name', async (client, { skip }) => {
    if (client.command !== undefined && missing.has(client.command))
      skip(`${client.command} is not installed`);
    const ca = await generateCa();
    const rootFile = await folder.write(`${client.name}.pem`, ca.certificatePem);
    const asked = {
      proxyPort: proxy.address.port,
      host: 'www.lab.test',
      rootFile,
      rootPem: ca.certificatePem,
    };
    await expect(client.verify(asked)).rejects.toThrow(/certificate|issuer/i);
  });
});

describe('a leaf', () => {
  const rows = [
    ['for a wildcard', '*.lab.test', 'any.lab.test'],
    ['for an IPv6 address', '2001:db8::7', '2001:db8::7'],
    [
      'for a name over 64 characters',
      `${'long-label.'.repeat(8)}lab.test`,
      `${'long-label.'.repeat(8)}lab.test`,
    ],
  ] as const;

  test.for(rows.flatMap((row) => verifyingClients.map((client) => [...row, client.name, client] as const)))(
    '%s: %s is good for %s with %s',
    async ([, leafName, host, , client], { skip }) => {
      if (client.command !== undefined && missing.has(client.command))
        skip(`${client.command} is not installed`);
      await using folder = await temporaryDirectory();
      const ca = await generateCa();
      const rootFile = await folder.write('root.pem', ca.certificatePem);
      const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const cert = new LeafIssuer(ca, pair).issue([leafName]).chainPem;
      const key = pair.privateKey.export({ type: 'pkcs8', format: 'pem' });
      await using server = await startLeafServer(createSecureContext({ cert, key }));
      const asked = { proxyPort: server.port, host, rootFile, rootPem: ca.certificatePem };
      await expect(client.verify(asked)).resolves.toBeUndefined();
    },
  );
});

describe('a client that reads no ECDSA', () => {
  const rows = [
    ['TLS 1.2 suites', ['-tls1_2', '-cipher', 'ECDHE-RSA-AES128-GCM-SHA256']],
    ['RSA key exchange', ['-tls1_2', '-cipher', 'AES128-GCM-SHA256']],
    ['TLS 1.3 signatures', ['-tls1_3', '-sigalgs', 'rsa_pss_rsae_sha256']],
    ['TLS 1.2 signatures', ['-tls1_2', '-sigalgs', 'RSA+SHA256']],
  ] as const;
  let folder: TemporaryDirectory;
  let proxy: MitmProxyHandle;
  beforeAll(async () => {
    folder = await temporaryDirectory();
    proxy = await startSigningProxy(await ours.make(folder), origin.port);
  });
  afterAll(async () => {
    await proxy.shutdown();
    await folder[Symbol.asyncDispose]();
  });

  test.for(rows)('in %s, is shown RSA', async ([, options], { skip }) => {
    if (missing.has('openssl')) skip('openssl is not installed');
    const args = ['s_client', '-proxy', `127.0.0.1:${proxy.address.port}`, '-connect', 'www.lab.test:443'];
    const verifying = [
      '-CAfile',
      folder.resolve('ca.pem'),
      '-verify_return_error',
      '-verify_hostname',
      'www.lab.test',
    ];
    const result = await runProgram('openssl', [...args, ...verifying, ...options], {
      input: Buffer.from('Q\n'),
    });
    expect([result.code, result.stderr]).toEqual([0, expect.stringContaining('depth=0 CN = www.lab.test')]);
    expect(result.stdout.toString()).toMatch(/Server public key is 2048 bit|rsaEncryption/);
  });

  test('others go on being shown ECDSA', async ({ skip }) => {
    if (missing.has('openssl')) skip('openssl is not installed');
    const args = ['s_client', '-proxy', `127.0.0.1:${proxy.address.port}`, '-connect', 'www.lab.test:443'];
    const result = await runProgram('openssl', args, { input: Buffer.from('Q\n') });
    expect(result.stdout.toString()).toContain('Server public key is 256 bit');
  });
});
