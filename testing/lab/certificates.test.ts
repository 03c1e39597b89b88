// What the lab's authority issues is what a verifier expects, and each flaw on purpose is the one that a verifier names.
import { X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:tls';

import { expect, test } from 'vitest';

import { createLabAuthority, type IssueOptions } from './certificates.ts';
import { destroyed } from './clients.ts';
import { startHttpsOrigin } from './origins.ts';

async function verdictOn(port: number, ca: string): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, ca, servername: 'localhost' });
  const verdict = await new Promise<string>((resolve) => {
    socket.once('secureConnect', () => resolve('accepted'));
    socket.once('error', (error) => resolve('code' in error ? String(error.code) : error.message));
  });
  await destroyed(socket);
  return verdict;
}

test('a certificate carries its names, DNS and IP, and is signed by the authority', async () => {
  await using authority = await createLabAuthority();
  const { certPem, keyPem } = await authority.issue([
    'api.example.test',
    '*.example.test',
    '127.0.0.1',
    '::1',
  ]);
  const certificate = new X509Certificate(certPem);
  expect(certificate.checkHost('api.example.test')).toBe('api.example.test');
  expect(certificate.checkHost('other.example.test')).toBe('*.example.test');
  expect(certificate.checkIP('127.0.0.1')).toBe('127.0.0.1');
  expect(certificate.checkIP('::1')).toBe('::1');
  expect(certificate.checkIssued(new X509Certificate(authority.caPem))).toBe(true);
  expect(keyPem).toContain('BEGIN PRIVATE KEY');
  await expect(authority.issue([])).rejects.toThrow('at least one name');
});

const flaws: readonly [string, IssueOptions, string][] = [
  ['a plain one is accepted', {}, 'accepted'],
  ['expired', { expired: true }, 'CERT_HAS_EXPIRED'],
  ['not yet valid', { notYetValid: true }, 'CERT_NOT_YET_VALID'],
  ['self-signed', { selfSigned: true }, 'DEPTH_ZERO_SELF_SIGNED_CERT'],
];

test.each(flaws)('a verifying client says: %s', async (_name, options, verdict) => {
  await using authority = await createLabAuthority();
  const certificate = await authority.issue(['localhost'], options);
  await using origin = await startHttpsOrigin({ authority, certificate });
  expect(await verdictOn(origin.port, authority.caPem)).toBe(verdict);
});

test('two authorities do not vouch for each other', async () => {
  await using one = await createLabAuthority();
  await using other = await createLabAuthority('Another authority');
  await using origin = await startHttpsOrigin({ authority: one });
  expect(await verdictOn(origin.port, other.caPem)).toBe('UNABLE_TO_VERIFY_LEAF_SIGNATURE');
});

test('the CA file lives as long as its authority', async () => {
  const authority = await createLabAuthority();
  const file = await authority.caFile();
  expect(await authority.caFile()).toBe(file);
  expect(await readFile(file, 'utf8')).toBe(authority.caPem);
  await authority[Symbol.asyncDispose]();
  expect(existsSync(file)).toBe(false);
});
