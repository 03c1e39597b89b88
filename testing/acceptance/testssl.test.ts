// The proxy's side of TLS as testssl.sh judges it. It takes minutes, so that it runs only where it is asked for:
// `SOTH_TESTSSL=1 vitest run --project acceptance testing/acceptance/testssl.test.ts`.
import { readFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';

import { expect, test } from 'vitest';

import { createLabAuthority } from '../lab/certificates.ts';
import { connectTunnel, hasCommand } from '../lab/clients.ts';
import { listen, type Listening } from '../lab/listening.ts';
import { startHttpsOrigin } from '../lab/origins.ts';
import { runProgram } from '../lab/programs.ts';
import { startProxy } from '../lab/proxy.ts';
import { temporaryDirectory } from '../lab/temporary.ts';

const isAsked = process.env['SOTH_TESTSSL'] === '1';
const isThere = await hasCommand('testssl');
const why = isAsked ? 'testssl.sh is not installed' : 'takes minutes: set SOTH_TESTSSL=1';
const minutes = 20;

/** What a certificate of a local authority can't have, whoever makes it. */
const ofLocalAuthorities =
  /^(?:cert_revocation|cert_crlRevoked|cert_ocspRevoked|OCSP_stapling|DNS_CAArecord|certificate_transparency)/;

interface Finding {
  readonly id: string;
  readonly severity: string;
  readonly finding: string;
}

function isFinding(value: unknown): value is Finding {
  return typeof value === 'object' && value !== null && 'id' in value && 'severity' in value;
}

/** testssl.sh speaks CONNECT with bare line feeds, which the proxy refuses: this door says CONNECT for it. */
async function doorTo(proxyPort: number, target: string): Promise<Listening> {
  const join = async (client: Socket): Promise<void> => {
    client.on('error', () => {});
    const { socket } = await connectTunnel(proxyPort, target);
    socket.on('error', () => client.destroy());
    client.on('close', () => socket.destroy());
    client.pipe(socket).pipe(client);
  };
  return listen(
    createServer({ allowHalfOpen: true }, (client) => {
      join(client).catch(() => client.destroy());
    }),
  );
}

test.skipIf(!isAsked || !isThere)(
  `finds nothing of medium weight or worse${isAsked && isThere ? '' : ` (skipped: ${why})`}`,
  async () => {
    await using authority = await createLabAuthority();
    await using origin = await startHttpsOrigin({ authority });
    await using proxy = await startProxy({ trusts: authority });
    await using door = await doorTo(proxy.port, origin.authority);
    await using folder = await temporaryDirectory();
    const report = folder.resolve('report.json');
    const what = ['--protocols', '--std', '--fs', '--server-defaults', '--vulnerable'];
    const how = [
      '--ip',
      '127.0.0.1',
      '--add-ca',
      proxy.caFile,
      '--warnings',
      'off',
      '--quiet',
      '--color',
      '0',
    ];
    const output = ['--jsonfile', report];
    await runProgram('testssl', [...what, ...how, ...output, `localhost:${door.port}`], {
      // Our certificates live for weeks; by default it warns two months before the end.
      environment: { DAYS2WARN1: '10', DAYS2WARN2: '5' },
      timeoutMs: (minutes - 1) * 60_000,
    });
    const text = await readFile(report, 'utf8');
    const entries: unknown = JSON.parse(text);
    if (!Array.isArray(entries)) throw new TypeError(`testssl wrote no list: ${text.slice(0, 200)}`);
    const findings = entries.filter(isFinding).filter(({ id }) => !ofLocalAuthorities.test(id));
    expect(findings.filter(({ id }) => id === 'scanProblem')).toEqual([]);
    expect(findings).toContainEqual(expect.objectContaining({ id: 'TLS1_3', severity: 'OK' }));
    expect(findings.filter(({ severity }) => /^(?:MEDIUM|HIGH|CRITICAL|FATAL)$/.test(severity))).toEqual([]);
  },
  minutes * 60_000,
);
