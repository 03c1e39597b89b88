// Certificate authorities as their owners have them: made by the tools that people use, in the files that these tools write.
// Nothing of the proxy makes or touches them.
import { readFile, writeFile } from 'node:fs/promises';

import { runProgram } from './programs.ts';
import type { TemporaryDirectory } from './temporary.ts';

/** What the proxy is given, and what its clients trust. */
export interface AuthorityFiles {
  readonly certPath: string;
  readonly keyPath: string;
  readonly passphrase?: string;
  /** PEM file with the root. */
  readonly rootPath: string;
}

export interface AuthorityForm {
  readonly name: string;
  /** The program that makes it. */
  readonly command: string;
  make(folder: TemporaryDirectory): Promise<AuthorityFiles>;
}

const rootExtensions = [
  '-addext',
  'basicConstraints=critical,CA:TRUE',
  '-addext',
  'keyUsage=critical,keyCertSign,cRLSign',
];

async function openssl(folder: TemporaryDirectory, ...args: readonly string[]): Promise<void> {
  const result = await runProgram('openssl', args, { cwd: folder.path });
  if (result.code !== 0) throw new Error(`openssl ${args[0]} ended with ${result.code}: ${result.stderr}`);
}

/** A self-signed root, its key as `openssl req` writes it. */
async function makeRoot(
  folder: TemporaryDirectory,
  keyType: readonly string[],
  protection: readonly string[] = ['-noenc'],
): Promise<AuthorityFiles> {
  const certPath = folder.resolve('root.pem');
  const keyPath = folder.resolve('root.key');
  const subject = ['-subj', '/O=Openssl Test/CN=Openssl Test Root', '-days', '30'];
  const files = ['-keyout', keyPath, '-out', certPath];
  await openssl(folder, 'req', '-x509', ...keyType, ...protection, ...files, ...subject, ...rootExtensions);
  return { certPath, keyPath, rootPath: certPath };
}

const ec = (curve: string): readonly string[] => ['-newkey', 'ec', '-pkeyopt', `ec_paramgen_curve:${curve}`];

function rootForm(name: string, keyType: readonly string[]): AuthorityForm {
  return { name, command: 'openssl', make: (folder) => makeRoot(folder, keyType) };
}

async function makeIntermediate(folder: TemporaryDirectory): Promise<AuthorityFiles> {
  const root = await makeRoot(folder, ['-newkey', 'rsa:2048']);
  const [keyPath, request, issued] = ['sub.key', 'sub.csr', 'sub.pem'].map((name) => folder.resolve(name));
  if (keyPath === undefined || request === undefined || issued === undefined) throw new Error('three names');
  await openssl(
    folder,
    'req',
    ...ec('P-256'),
    '-noenc',
    '-keyout',
    keyPath,
    '-out',
    request,
    '-subj',
    '/O=Openssl Test/CN=Openssl Test Intermediate',
  );
  const extensions = await folder.write(
    'sub.cnf',
    'basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n',
  );
  await openssl(
    folder,
    'x509',
    '-req',
    '-in',
    request,
    '-out',
    issued,
    '-days',
    '20',
    '-extfile',
    extensions,
    '-CA',
    root.certPath,
    '-CAkey',
    root.keyPath,
    '-CAcreateserial',
  );
  // The chain as it is handed out: the intermediate, and its root behind it.
  const certPath = await folder.write(
    'chain.pem',
    (await readFile(issued, 'utf8')) + (await readFile(root.certPath, 'utf8')),
  );
  return { certPath, keyPath, rootPath: root.certPath };
}

async function makeEncrypted(folder: TemporaryDirectory): Promise<AuthorityFiles> {
  const passphrase = 'correct horse battery staple';
  const files = await makeRoot(folder, ec('P-256'), ['-passout', `pass:${passphrase}`]);
  return { ...files, passphrase };
}

/** As mitmproxy keeps its own: `mitmproxy-ca.pem` with key and certificate, and `mitmproxy-ca-cert.pem` for clients. */
async function makeCombined(folder: TemporaryDirectory): Promise<AuthorityFiles> {
  const { certPath, keyPath } = await makeRoot(folder, ['-newkey', 'rsa:2048']);
  const text = (await readFile(keyPath, 'utf8')) + (await readFile(certPath, 'utf8'));
  const both = await folder.write('mitmproxy-ca.pem', text);
  return { certPath: both, keyPath: both, rootPath: certPath };
}

/** mkcert makes its authority with the first certificate that it is asked for. */
async function makeByMkcert(folder: TemporaryDirectory): Promise<AuthorityFiles> {
  const args = ['-cert-file', folder.resolve('leaf.pem'), '-key-file', folder.resolve('leaf.key'), 'a.test'];
  const result = await runProgram('mkcert', args, {
    environment: { CAROOT: folder.path, HOME: folder.path },
  });
  if (result.code !== 0) throw new Error(`mkcert ended with ${result.code}: ${result.stderr}`);
  const certPath = folder.resolve('rootCA.pem');
  return { certPath, keyPath: folder.resolve('rootCA-key.pem'), rootPath: certPath };
}

/** mitmproxy makes its authority when it starts; one that is told to listen nowhere ends at once. */
async function makeByMitmproxy(folder: TemporaryDirectory): Promise<AuthorityFiles> {
  // It ends by itself as soon as it runs.
  const script = await folder.write(
    'stop.py',
    'from mitmproxy import ctx\n\nclass Stop:\n    def running(self):\n        ctx.master.shutdown()\n\naddons = [Stop()]\n',
  );
  const args = [
    '--set',
    `confdir=${folder.path}`,
    '--listen-host',
    '127.0.0.1',
    '-p',
    '0',
    '-q',
    '-s',
    script,
  ];
  await runProgram('mitmdump', args, { environment: { HOME: folder.path } });
  const both = folder.resolve('mitmproxy-ca.pem');
  // mitmproxy leaves the mode to the umask; the proxy asks its owner to close the file.
  await writeFile(both, await readFile(both), { mode: 0o600 });
  return { certPath: both, keyPath: both, rootPath: folder.resolve('mitmproxy-ca-cert.pem') };
}

/** Every form, and who makes it. */
export const authorityForms: readonly AuthorityForm[] = [
  rootForm('RSA-3072', ['-newkey', 'rsa:3072']),
  rootForm('RSA-4096', ['-newkey', 'rsa:4096']),
  rootForm('P-384', ec('P-384')),
  rootForm('P-521', ec('P-521')),
  { name: 'encrypted', command: 'openssl', make: makeEncrypted },
  { name: 'root and intermediate', command: 'openssl', make: makeIntermediate },
  { name: 'key and certificate in one file', command: 'openssl', make: makeCombined },
  { name: 'the one of mkcert', command: 'mkcert', make: makeByMkcert },
  { name: 'the one of mitmproxy', command: 'mitmdump', make: makeByMitmproxy },
];
