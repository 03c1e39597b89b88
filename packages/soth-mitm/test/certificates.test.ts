import { parseConfig } from 'mitm-core';
import { describe, expect, test } from 'vitest';

import { type TemporaryDirectory, temporaryDirectory } from '../../../testing/lab/temporary.ts';
import { certificatesOf } from '../src/certificates.ts';
import { generateCa } from '../src/index.ts';

function configIn(folder: TemporaryDirectory, tls: object = {}) {
  return parseConfig({
    interception: { destinations: ['*:*'] },
    tls: { caCertPath: folder.resolve('ca.pem'), caKeyPath: folder.resolve('ca-key.pem'), ...tls },
  });
}

describe('what a proxy signs with', () => {
  test('is made with the configured names where no files are, and found again the next time', async () => {
    await using folder = await temporaryDirectory();
    const config = configIn(folder, { caCommonName: 'Team CA', caOrganization: 'Team' });
    const first = await certificatesOf(config, undefined);
    expect(first.ca.subject).toContain('Team CA');
    const second = await certificatesOf(config, undefined);
    expect(second.ca.fingerprint).toBe(first.ca.fingerprint);
  });

  test('is the given authority, and no file is touched', async () => {
    await using folder = await temporaryDirectory();
    const ca = await generateCa();
    const store = await certificatesOf(configIn(folder), ca);
    expect(store.ca).toBe(ca);
    const other = await certificatesOf(configIn(folder), undefined);
    expect(other.ca.fingerprint).not.toBe(ca.fingerprint);
  });

  test('that can not be read is an error with the file and the fix', async () => {
    await using folder = await temporaryDirectory();
    await folder.write('ca.pem', 'not a certificate');
    await folder.write('ca-key.pem', 'not a key');
    await expect(certificatesOf(configIn(folder), undefined)).rejects.toMatchObject({
      code: 'ERR_MITM_CA_LOAD_FAILED',
    });
  });
});
