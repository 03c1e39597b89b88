// Origins run by `openssl s_server`: the peer whose alerts, staples and demands for certificates are those of the real world. It answers
// every request with a page about the connection.
import { spawn } from 'node:child_process';

import { within } from './deadline.ts';
import type { OpensslCertificate } from './openssl-authority.ts';

export interface OpensslServer extends AsyncDisposable {
  readonly port: number;
  /** `localhost:<port>`. */
  readonly authority: string;
}

const announced = /ACCEPT \S*:(\d+)/;

/** Starts a server on a free loopback port; `args` are further arguments of `s_server`. */
export async function startOpensslServer(
  certificate: OpensslCertificate,
  args: readonly string[] = [],
): Promise<OpensslServer> {
  const files = ['-cert', certificate.certFile, '-key', certificate.keyFile];
  // The certificate file goes on with the chain.
  const chain = ['-cert_chain', certificate.certFile];
  const child = spawn(
    'openssl',
    ['s_server', '-accept', '127.0.0.1:0', '-www', ...files, ...chain, ...args],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let output = '';
  const listening = new Promise<number>((resolve, reject) => {
    const read = (chunk: Buffer): void => {
      output += chunk.toString();
      const port = announced.exec(output)?.[1];
      if (port !== undefined) resolve(Number(port));
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.once('error', reject);
    child.once('close', (code) => reject(new Error(`openssl s_server ended with ${code}: ${output}`)));
  });
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
  });
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
  };
  try {
    const port = await within(listening, 10_000, () => `openssl s_server to listen (${output})`);
    return { port, authority: `localhost:${port}`, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
