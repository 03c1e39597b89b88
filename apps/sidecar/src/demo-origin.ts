// The origin of the demo: a real HTTPS server on loopback whose certificate is signed by an authority made for this run. That
// authority's certificate lies in a temporary file, so that the proxy trusts it as it would any other private one.
import { generateKeyPair } from 'node:crypto';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { generateCa, LeafIssuer } from 'soth-mitm';

export interface DemoOrigin {
  /** `localhost:<port>`. */
  readonly authority: string;
  /** PEM file with the certificate of its authority. */
  readonly caPath: string;
  /** Ends the server with its connections and removes the file. */
  close(): Promise<void>;
}

/** Starts the origin. The file is removed when the process ends, however it does. */
export async function openDemoOrigin(): Promise<DemoOrigin> {
  const ca = await generateCa({ commonName: 'soth-mitm demo origin CA', validityDays: 30 });
  const keys = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' });
  const leaf = new LeafIssuer(ca, keys).issue(['localhost', '127.0.0.1']);
  const key = keys.privateKey.export({ type: 'pkcs8', format: 'pem' });
  const server = createServer({ key, cert: leaf.chainPem }, (request, response) => {
    answer(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const folder = await mkdtemp(join(tmpdir(), 'soth-mitm-demo-'));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  process.once('exit', remove);
  const caPath = join(folder, 'origin-ca.pem');
  await writeFile(caPath, ca.certificatePem);
  return {
    authority: `localhost:${portOf(server)}`,
    caPath,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
      process.off('exit', remove);
      remove();
    },
  };
}

function portOf(server: Server): number {
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('the demo origin has no port');
  return address.port;
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  let bodyBytes = 0;
  request.on('data', (chunk: Buffer) => {
    bodyBytes += chunk.length;
  });
  request.once('end', () => {
    const body = `${JSON.stringify(demoAnswer(request.method ?? '', request.url ?? '', bodyBytes))}\n`;
    response.setHeader('content-type', 'application/json');
    response.end(body);
  });
}

/** What the origin answers: it repeats what it was asked. */
export function demoAnswer(method: string, path: string, bodyBytes: number): object {
  return { hello: 'from the demo origin', method, path, bodyBytes };
}
