// The openssl program as a second judge, where the machine has it.
import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const version = spawnSync('openssl', ['version'], { encoding: 'utf8' });

/** Why checks by the openssl program are skipped; undefined when they run. */
export const openSslMissing: string | undefined =
  version.status === 0 ? undefined : 'the openssl program is not on this machine';

/** The output of `openssl verify -x509_strict` for a leaf: it ends in `OK`, or the call throws. */
export async function verifyWithOpenSsl(input: {
  readonly leafPem: string;
  readonly rootPem: string;
  readonly intermediatePem?: string;
  readonly host: { readonly name: string } | { readonly ip: string };
}): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'mitm-tls-'));
  try {
    const [leaf, root, intermediate] = ['leaf.pem', 'root.pem', 'intermediate.pem'].map((file) =>
      join(folder, file),
    );
    await writeFile(leaf ?? '', input.leafPem);
    await writeFile(root ?? '', input.rootPem);
    await writeFile(intermediate ?? '', input.intermediatePem ?? '');
    const chain = input.intermediatePem === undefined ? [] : ['-untrusted', intermediate ?? ''];
    const host = 'name' in input.host ? ['-verify_hostname', input.host.name] : ['-verify_ip', input.host.ip];
    const args = ['verify', '-x509_strict', '-purpose', 'sslserver', '-no-CApath', '-CAfile', root ?? ''];
    const { stdout } = await promisify(execFile)('openssl', [...args, ...chain, ...host, leaf ?? '']);
    return stdout.trim();
  } finally {
    await rm(folder, { recursive: true });
  }
}
