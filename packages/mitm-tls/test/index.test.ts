import { expect, test } from 'vitest';

import { generateCa, loadCa } from '../src/index.ts';

test('a CA can be made and read with nothing imported but the public face', async () => {
  const ca = await generateCa();
  expect(loadCa(ca.certificatePem, ca.privateKeyPem()).fingerprint).toBe(ca.fingerprint);
});
