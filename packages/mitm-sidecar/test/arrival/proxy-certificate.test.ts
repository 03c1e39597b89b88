// The certificate of the proxy itself: from files or made for its names, and what is said of those that are of no use.
import { CertStore, generateCa } from 'mitm-tls';
import { describe, expect, test } from 'vitest';

import { createLabAuthority } from '../../../../testing/lab/certificates.ts';
import { dialLoopback, tlsOver, destroyed } from '../../../../testing/lab/clients.ts';
import { temporaryDirectory } from '../../../../testing/lab/temporary.ts';
import { ProxyCertificate } from '../../src/arrival/proxy-certificate.ts';
import { startProxy } from '../proxy-lab.ts';

const certificates = await CertStore.create(await generateCa());

test('for names: one certificate that has them all', async () => {
  const certificate = await ProxyCertificate.open({ names: ['proxy.example', '127.0.0.1'] }, certificates);
  expect(await certificate.context()).toBe(await certificate.context());
  expect(await certificates.contextFor(['proxy.example', '127.0.0.1'])).toMatchObject({
    status: 'hit',
    leaf: { names: ['proxy.example', '127.0.0.1'] },
  });
});

test('from files: clients meet that one', async () => {
  await using authority = await createLabAuthority();
  await using folder = await temporaryDirectory();
  const issued = await authority.issue(['proxy.example']);
  const tls = {
    certPath: await folder.write('cert.pem', issued.certPem),
    keyPath: await folder.write('key.pem', issued.keyPem),
  };
  await using proxy = await startProxy({
    config: { bind: 'none', listeners: [{ bind: '127.0.0.1:0', tls }] },
  });
  const socket = await dialLoopback(proxy.port);
  const secure = await tlsOver(socket, { servername: 'proxy.example', ca: authority.caPem });
  expect(secure.authorized).toBe(true);
  await destroyed(secure);
});

test('from files that were renewed: clients meet the new one after a reload, and a broken one changes nothing', async () => {
  await using authority = await createLabAuthority();
  await using folder = await temporaryDirectory();
  const write = async (name: string): Promise<void> => {
    const { certPem, keyPem } = await authority.issue([name]);
    await folder.write('cert.pem', certPem);
    await folder.write('key.pem', keyPem);
  };
  await write('old.example');
  const tls = { certPath: folder.resolve('cert.pem'), keyPath: folder.resolve('key.pem') };
  await using proxy = await startProxy({
    config: { bind: 'none', listeners: [{ bind: '127.0.0.1:0', tls }] },
  });
  const meets = async (servername: string): Promise<boolean> => {
    const socket = await dialLoopback(proxy.port);
    const secure = await tlsOver(socket, { servername, ca: authority.caPem });
    await destroyed(secure);
    return true;
  };
  expect(await meets('old.example')).toBe(true);
  await write('new.example');
  (await proxy.server.prepareListeners())();
  expect(await meets('new.example')).toBe(true);
  await folder.write('cert.pem', 'broken');
  await expect(proxy.server.prepareListeners()).rejects.toThrow("the proxy's own certificate");
  expect(await meets('new.example')).toBe(true);
});

describe('refused', () => {
  test.each([
    ['a file that is not there', { certPath: '/nowhere/cert.pem', keyPath: '/nowhere/key.pem' }, 'ENOENT'],
    ['a file that holds no certificate', { certPath: '/dev/null', keyPath: '/dev/null' }, 'certificate: '],
    ['a name that is none', { names: ['a b'] }, 'certificate: '],
  ])('%s', async (_what, tls, text) => {
    await expect(ProxyCertificate.open(tls, certificates)).rejects.toThrow(
      expect.objectContaining({
        code: 'ERR_MITM_LISTEN_FAILED',
        message: expect.stringMatching(
          `^the proxy's own certificate: .*${text.replace('certificate: ', '')}`,
        ),
      }),
    );
  });
});
