// The key log as a tool reads it: every connection's secrets, both legs, in a file of nobody else's.
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

import { describe, expect, test } from 'vitest';

import { createLabAuthority } from '../../../../testing/lab/certificates.ts';
import { httpsThroughProxy } from '../../../../testing/lab/clients.ts';
import { startHttpsOrigin } from '../../../../testing/lab/origins.ts';
import { temporaryDirectory } from '../../../../testing/lab/temporary.ts';
import { KeyLog } from '../../src/handshake/key-log.ts';
import { ProxyServer } from '../../src/proxy-server.ts';
import { createRuntime } from '../runtime-fixture.ts';

const line = /^(?<label>[A-Z0-9_]+) (?<random>[0-9a-f]{64}) [0-9a-f]{64,}$/;

describe('KeyLog', () => {
  test('holds the secrets of both legs of an exchange', async () => {
    await using folder = await temporaryDirectory();
    await using authority = await createLabAuthority();
    await using origin = await startHttpsOrigin({ authority });
    const keyLog = await KeyLog.open(folder.resolve('keys.log'), (error) => {
      throw error;
    });
    const { engine, runtime, ca } = await createRuntime({
      config: { upstream: { caPaths: [await authority.caFile()] } },
    });
    const server = new ProxyServer({ engine, certificates: runtime.certificates, keyLog });
    const { port } = await server.listen();
    await httpsThroughProxy({ proxyPort: port, url: origin.url, ca: ca.certificatePem });
    await server.close(2_000);
    await keyLog.close();
    const lines = (await readFile(folder.resolve('keys.log'), 'utf8')).trimEnd().split('\n');
    const found = lines.map((text) => line.exec(text)?.groups);
    expect(found.every((groups) => groups !== undefined)).toBe(true);
    const traffic = found.filter((groups) => groups?.['label'] === 'CLIENT_TRAFFIC_SECRET_0');
    expect(new Set(traffic.map((groups) => groups?.['random'])).size).toBe(2);
  });

  test.skipIf(process.platform === 'win32')(
    'makes the file its owner alone can read, and appends',
    async () => {
      await using folder = await temporaryDirectory();
      const path = folder.resolve('keys.log');
      writeFileSync(path, 'before\n', { mode: 0o644 });
      const keyLog = await KeyLog.open(path, () => {});
      await keyLog.close();
      expect(statSync(path).mode & 0o777).toBe(0o600);
      expect(readFileSync(path, 'utf8')).toBe('before\n');
    },
  );

  test('a place that is none is an error at once', async () => {
    await using folder = await temporaryDirectory();
    await expect(KeyLog.open(folder.resolve('none', 'keys.log'), () => {})).rejects.toMatchObject({
      code: 'ENOENT',
    });
  });

  test('closing twice is closing once', async () => {
    await using folder = await temporaryDirectory();
    const keyLog = await KeyLog.open(folder.resolve('keys.log'), () => {});
    await keyLog.close();
    await keyLog.close();
    expect(readFileSync(folder.resolve('keys.log'), 'utf8')).toBe('');
  });
});
