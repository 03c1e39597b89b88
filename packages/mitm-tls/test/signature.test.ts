import { createPublicKey, generateKeyPairSync, type KeyObject, verify } from 'node:crypto';

import { describe, expect, test } from 'vitest';

import { Signer } from '../src/signature.ts';

const ec = (namedCurve: string): KeyObject => generateKeyPairSync('ec', { namedCurve }).privateKey;

// The identifiers as RFC 5758 §3.2 and RFC 4055 §5 write them.
const rows = [
  ['P-256', ec('P-256'), 'sha256', '300a06082a8648ce3d040302'],
  ['P-384', ec('P-384'), 'sha384', '300a06082a8648ce3d040303'],
  ['P-521', ec('P-521'), 'sha512', '300a06082a8648ce3d040304'],
  [
    'RSA',
    generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
    'sha256',
    '300d06092a864886f70d01010b0500',
  ],
] as const;

describe.each(rows)('%s', (_name, key, digest, algorithm) => {
  const bytes = Buffer.from('what is signed');

  test('says how it signs', () => {
    expect(new Signer(key).algorithm.toString('hex')).toBe(algorithm);
  });

  test('signs now, or later', async () => {
    const signer = new Signer(key);
    for (const signature of [signer.sign(bytes), await signer.signLater(bytes)]) {
      expect(verify(digest, bytes, createPublicKey(key), signature)).toBe(true);
    }
  });
});

test('only a signature that takes long goes to another thread', () => {
  const bytes = Buffer.from('x');
  expect(rows.map(([, key]) => new Signer(key).signLater(bytes) instanceof Promise)).toEqual([
    false,
    true,
    true,
    true,
  ]);
});
