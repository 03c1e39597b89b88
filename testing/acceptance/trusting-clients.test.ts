// Which settings make which clients trust a CA, as docs/tls.md says it: each client asks a server whose certificate the CA has
// signed. A client that is not installed is left out.
import { generateKeyPairSync } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import { fileURLToPath } from 'node:url';

import { type CertificateAuthority, generateCa, LeafIssuer } from 'soth-mitm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { hasCommand } from '../lab/clients.ts';
import { type Listening, listen } from '../lab/listening.ts';
import { runProgram } from '../lab/programs.ts';
import { type TemporaryDirectory, temporaryDirectory } from '../lab/temporary.ts';
import { noThrowAwayRoot, runInThrowAwayRoot } from '../lab/throw-away-root.ts';

const systemBundle = '/etc/ssl/certs/ca-certificates.crt';
const main = fileURLToPath(new URL('../../apps/sidecar/dist/main.js', import.meta.url));

const javaSource = `public class Fetch { public static void main(String[] args) throws Exception {
  new java.net.URI(args[0]).toURL().openStream().readAllBytes(); } }`;
const nodeSource = `require('https').get(process.argv[1], (answer) => answer.resume()).on('error', () => process.exit(1))`;
const perlSource = 'use HTTP::Tiny; exit(HTTP::Tiny->new(verify_SSL => 1)->get($ARGV[0])->{success} ? 0 : 1)';

/** Ends with 0 if it accepts the server. `$URL` stands for its address, `$FOLDER` for where files are. */
const clients: Readonly<Record<string, readonly string[]>> = {
  curl: ['curl', '-q', '-sSf', '$URL'],
  wget: ['wget', '--no-config', '-q', '-O', '-', '$URL'],
  'python urllib': [
    'python3',
    '-c',
    'import sys, urllib.request as u; u.urlopen(sys.argv[1]).read()',
    '$URL',
  ],
  'python requests': ['python3', '-c', 'import sys, requests; requests.get(sys.argv[1])', '$URL'],
  git: ['git', 'ls-remote', '$URL'],
  node: [process.execPath, '-e', nodeSource, '$URL'],
  'node --use-system-ca': [process.execPath, '--use-system-ca', '-e', nodeSource, '$URL'],
  perl: ['perl', '-e', perlSource, '$URL'],
  java: ['java', '$FOLDER/Fetch.java', '$URL'],
  'java with a trust store': [
    'java',
    '-Djavax.net.ssl.trustStore=$FOLDER/store.p12',
    '-Djavax.net.ssl.trustStorePassword=changeit',
    '$FOLDER/Fetch.java',
    '$URL',
  ],
};

/** What has to be there besides the command. */
const modules: Readonly<Record<string, readonly string[]>> = {
  'python requests': ['python3', '-c', 'import requests'],
  perl: ['perl', '-e', 'use HTTP::Tiny; use IO::Socket::SSL;'],
  java: ['java', '--version'],
};

const isHere = new Map<string, boolean>();
for (const [name, [command = '']] of Object.entries(clients)) {
  const probe = modules[name];
  const isInstalled = command.startsWith('/') || (await hasCommand(command));
  isHere.set(name, isInstalled && (probe === undefined || (await ends(probe)) === 0));
}
const here = (names: readonly string[]): readonly string[] =>
  names.filter((name) => isHere.get(name) === true);

async function ends(
  [command = '', ...args]: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<number | undefined> {
  // The developer's own settings out of the way, and no proxy on the way to loopback.
  const cleared = {
    NODE_EXTRA_CA_CERTS: '',
    REQUESTS_CA_BUNDLE: '',
    PERL_LWP_SSL_CA_FILE: '',
    no_proxy: '*',
  };
  const { code } = await runProgram(command, args, {
    environment: { ...cleared, ...environment },
    timeoutMs: 40_000,
  });
  return code;
}

/** Words as a shell reads them back. */
function quoted(words: readonly string[]): string {
  return words.map((word) => `'${word.replaceAll("'", String.raw`'\''`)}'`).join(' ');
}

let ca: CertificateAuthority;
let server: Listening;
let folder: TemporaryDirectory;

beforeAll(async () => {
  folder = await temporaryDirectory('soth-trusting-');
  ca = await generateCa();
  const caFile = await folder.write('ca.pem', ca.certificatePem);
  await folder.write('Fetch.java', javaSource);
  const roots = await readFile(systemBundle, 'utf8').catch(() => '');
  await folder.write('bundle.pem', roots + ca.certificatePem);
  if (await hasCommand('keytool')) {
    const store = [
      '-keystore',
      folder.resolve('store.p12'),
      '-storetype',
      'PKCS12',
      '-storepass',
      'changeit',
    ];
    const importing = ['-importcert', '-noprompt', '-alias', 'soth-mitm', '-file', caFile, ...store];
    const { code, stderr } = await runProgram('keytool', importing);
    if (code !== 0) throw new Error(`keytool ended with ${code}: ${stderr}`);
  }
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = keys.privateKey.export({ type: 'pkcs8', format: 'pem' });
  const cert = new LeafIssuer(ca, keys).issue(['localhost']).certificatePem;
  server = await listen(createServer({ key, cert }, (_request, response) => response.end()));
}, 60_000);

afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
});

function commandOf(name: string): readonly string[] {
  const filled = (clients[name] ?? []).map((word) =>
    word.replace('$URL', `https://localhost:${server.port}/`).replace('$FOLDER', folder.path),
  );
  return filled;
}

/** The clients that accept the server under an environment. */
async function accepting(
  names: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<readonly string[]> {
  const accepted: string[] = [];
  for (const name of here(names)) {
    if ((await ends(commandOf(name), environment)) === 0) accepted.push(name);
  }
  return accepted;
}

const alike = [
  'curl',
  'wget',
  'python urllib',
  'python requests',
  'git',
  'node',
  'node --use-system-ca',
  'perl',
];

test('without a setting no client accepts the server', async () => {
  expect(here(alike).length).toBeGreaterThan(0);
  expect(await accepting([...alike, 'java'], {})).toEqual([]);
});

describe('a setting of the environment', () => {
  test.each([
    ['NODE_EXTRA_CA_CERTS', 'ca.pem', ['node', 'node --use-system-ca']],
    ['SSL_CERT_FILE', 'bundle.pem', ['curl', 'python urllib', 'node --use-system-ca', 'perl']],
    ['CURL_CA_BUNDLE', 'bundle.pem', ['curl', 'python requests']],
    ['REQUESTS_CA_BUNDLE', 'bundle.pem', ['python requests']],
    ['GIT_SSL_CAINFO', 'bundle.pem', ['git']],
  ])('%s with %s', async (name, file, expected) => {
    expect(await accepting(expected, { [name]: folder.resolve(file) })).toEqual(here(expected));
  });
});

test.skipIf(isHere.get('java') !== true || !(await hasCommand('keytool')))(
  'Java takes a trust store that keytool made (skipped without Java)',
  async () => {
    expect(await accepting(['java with a trust store'], {})).toEqual(['java with a trust store']);
  },
);

const noRoot = await noThrowAwayRoot('update-ca-certificates');
test.skipIf(noRoot !== undefined)(
  `the store of a Debian is read by all but those with a list of their own${noRoot === undefined ? '' : ` (skipped: ${noRoot})`}`,
  async () => {
    // Java reads the store that a hook of the Debian packages makes.
    const hasJavaStore = (await readdir('/etc/ca-certificates/update.d')).includes('jks-keystore');
    const names = here(hasJavaStore ? [...alike, 'java'] : alike);
    const script = [
      'export no_proxy="*"',
      `${quoted([process.execPath, main, 'ca', 'install', '--ca-cert', folder.resolve('ca.pem')])} >&2`,
      ...names.map((name) => `${quoted(commandOf(name))} >/dev/null 2>&1 && echo ${quoted([name])}`),
      'true',
    ].join('\n');
    const folders = ['/etc/ssl/certs', '/usr/local/share/ca-certificates'];
    const accepted = await runInThrowAwayRoot(folders, ['sh', '-c', script]);
    const ownLists = new Set(['python requests', 'node']);
    expect(accepted.split('\n').slice(0, -1)).toEqual(names.filter((name) => !ownLists.has(name)));
  },
  120_000,
);
