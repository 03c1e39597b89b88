import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { beforeAll, describe, expect, test } from 'vitest';

import { emptyRevocationList } from '../src/crl.ts';
import { x509 } from '../src/webcrypto.ts';
import { authorityKinds, dayMs, makeAuthorities } from './authorities.ts';
import { openSslMissing } from './openssl.ts';

let authorities: Awaited<ReturnType<typeof makeAuthorities>>;
beforeAll(async () => {
  authorities = await makeAuthorities();
});

const run = promisify(execFile);

describe('an empty revocation list', () => {
  test.each(authorityKinds)(
    'of CA %s names its issuer, is signed by it and revokes nothing',
    async (kind) => {
      const { ca } = authorities[kind];
      const { der } = await emptyRevocationList(ca);
      const list = new x509.X509Crl(der);
      expect(list.entries).toEqual([]);
      expect(list.issuer).toBe(new x509.X509Certificate(ca.certificatePem).subject);
      const { publicKey } = new x509.X509Certificate(ca.certificatePem);
      expect(await list.verify({ publicKey })).toBe(true);
    },
  );

  test('is good from an hour ago for a week, and not longer than its CA', async () => {
    const { ca } = authorities.own;
    const now = new Date('2027-01-02T03:04:05Z');
    const list = new x509.X509Crl((await emptyRevocationList(ca, { now })).der);
    expect(list.thisUpdate).toEqual(new Date('2027-01-02T02:04:05Z'));
    expect(list.nextUpdate).toEqual(new Date(now.getTime() + 7 * dayMs));
    const late = await emptyRevocationList(ca, { now: new Date(ca.notAfter.getTime() - dayMs) });
    expect(late.nextUpdate).toEqual(ca.notAfter);
  });

  test('a later one has a higher number', async () => {
    const { ca } = authorities.own;
    const numberOf = async (now: Date): Promise<bigint> => {
      const list = new x509.X509Crl((await emptyRevocationList(ca, { now })).der);
      const value = Buffer.from(list.getExtension('2.5.29.20')?.value ?? new ArrayBuffer(0));
      return BigInt(`0x${value.subarray(2).toString('hex')}`);
    };
    expect(await numberOf(new Date(2_000))).toBeGreaterThan(await numberOf(new Date(1_000)));
  });

  test.skipIf(openSslMissing).each(authorityKinds)(
    `of CA %s is accepted by openssl crl${openSslMissing ? ` (skipped: ${openSslMissing})` : ''}`,
    async (kind) => {
      const folder = await mkdtemp(join(tmpdir(), 'mitm-tls-'));
      try {
        const { ca } = authorities[kind];
        await writeFile(join(folder, 'ca.pem'), ca.certificatePem);
        await writeFile(join(folder, 'list.crl'), (await emptyRevocationList(ca)).der);
        const args = ['crl', '-inform', 'DER', '-in', 'list.crl', '-CAfile', 'ca.pem', '-text', '-noout'];
        const { stdout, stderr } = await run('openssl', args, { cwd: folder });
        expect(stderr).toContain('verify OK');
        expect(stdout).toContain('No Revoked Certificates.');
      } finally {
        await rm(folder, { recursive: true });
      }
    },
  );
});
