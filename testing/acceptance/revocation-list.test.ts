// A client that insists on a revocation list, as Schannel does: openssl checks a leaf of ours against the list that it names.
import { createMitmProxy } from 'soth-mitm';
import { expect, test } from 'vitest';

import { hasCommand, httpsThroughProxy } from '../lab/clients.ts';
import { startHttpOrigin } from '../lab/origins.ts';
import { runProgram } from '../lab/programs.ts';
import { temporaryDirectory } from '../lab/temporary.ts';

const crlUrl = 'http://proxy.test:8080/ca.crl';

test('openssl accepts a leaf with its list, fetched as a proxy or from the proxy, and not without', async ({
  skip,
}) => {
  for (const command of ['openssl', 'curl'])
    if (!(await hasCommand(command))) skip(`${command} is not installed`);
  await using folder = await temporaryDirectory();
  await using origin = await startHttpOrigin();
  const [certPath, keyPath] = [folder.resolve('ca.pem'), folder.resolve('ca-key.pem')];
  await using proxy = await createMitmProxy({
    config: {
      bind: '127.0.0.1:0',
      interception: { destinations: ['*:*'] },
      routeMode: 'reverse',
      reverseUpstream: { host: '127.0.0.1', port: origin.port },
      tls: { caCertPath: certPath, caKeyPath: keyPath, crlUrl },
    },
    handler: { onRequest: () => ({ action: 'block', status: 200, body: Buffer.alloc(0) }) },
  }).start();
  const { port } = proxy.address;
  const answer = await httpsThroughProxy({
    proxyPort: port,
    url: 'https://www.lab.test:443/',
    ca: proxy.ca.certificatePem,
  });
  const leaf = await folder.write('leaf.der', answer.peerCertificate.raw);
  const text = await runProgram('openssl', ['x509', '-inform', 'DER', '-in', leaf, '-noout', '-text']);
  expect(text.stdout.toString()).toContain(`URI:${crlUrl}`);
  const ways = [
    ['--proxy', `http://127.0.0.1:${port}`, crlUrl],
    ['--noproxy', '*', `http://127.0.0.1:${port}/ca.crl`],
  ];
  for (const way of ways) {
    const list = await runProgram('curl', ['-q', '-sS', '-f', ...way]);
    expect([list.code, list.stderr]).toEqual([0, '']);
    const crl = await folder.write('list.der', list.stdout);
    const pem = folder.resolve('list.pem');
    await runProgram('openssl', ['crl', '-inform', 'DER', '-in', crl, '-out', pem]);
    const verify = ['verify', '-crl_check', '-x509_strict', '-CAfile', certPath];
    const leafPem = folder.resolve('leaf.pem');
    await runProgram('openssl', ['x509', '-inform', 'DER', '-in', leaf, '-out', leafPem]);
    const checked = await runProgram('openssl', [...verify, '-CRLfile', pem, leafPem]);
    expect([checked.code, checked.stderr]).toEqual([0, '']);
    const unchecked = await runProgram('openssl', [...verify, leafPem]);
    expect(unchecked.stderr).toContain('unable to get certificate CRL');
  }
});
