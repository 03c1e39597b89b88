// Run as a program of its own, inside the throw-away root: does what its arguments say, one after the other, and prints what came
// of each as a JSON list. curl asks a server whose certificate the CA has signed, and is told nothing of the CA.
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:https';
import { promisify } from 'node:util';

import {
  CaError,
  CertStore,
  generateCa,
  installCaSystemTrust,
  isCaTrusted,
  uninstallCaSystemTrust,
} from '../../src/index.ts';

const ca = await generateCa();
const other = await generateCa({ commonName: 'soth-mitm Local CA' });
const store = await CertStore.create(ca);
const { context } = await store.contextFor(['localhost']);
const server = createServer({ SNICallback: (_name, done) => done(null, context) }, (_request, response) =>
  response.end('ok'),
);
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const address = server.address();
const port = typeof address === 'object' && address !== null ? address.port : 0;

async function curl(): Promise<string> {
  try {
    const url = `https://localhost:${port}/`;
    const { stdout } = await promisify(execFile)('curl', ['-q', '-sS', '--noproxy', '*', '--ipv4', url]);
    return stdout;
  } catch (error) {
    return `code ${error instanceof Error && 'code' in error ? String(error.code) : String(error)}`;
  }
}

const acts: Readonly<Record<string, () => Promise<unknown>>> = {
  install: async () => (await installCaSystemTrust(ca)).map(({ hasChanged }) => hasChanged),
  'install another': async () => (await installCaSystemTrust(other)).map(({ hasChanged }) => hasChanged),
  uninstall: async () => (await uninstallCaSystemTrust(ca)).map(({ hasChanged }) => hasChanged),
  'is trusted': () => isCaTrusted(ca),
  curl,
  'become nobody': () => {
    process.setgroups?.([]);
    process.setgid?.(65_534);
    process.setuid?.(65_534);
    return Promise.resolve('nobody');
  },
};

const results: unknown[] = [];
for (const act of process.argv.slice(2)) {
  try {
    results.push(await acts[act]?.());
  } catch (error) {
    results.push(error instanceof CaError ? `${error.code} ${error.message}` : String(error));
  }
}
process.stdout.write(JSON.stringify(results));
server.close();
server.closeAllConnections();
