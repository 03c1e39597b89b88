// Installing, removing and asking, on a machine that works like one of the Debian family, but on paper.
import { describe, expect, test } from 'vitest';

import { generateCa } from '../../src/ca.ts';
import { caTrust, installCaSystemTrust, isCaTrusted, uninstallCaSystemTrust } from '../../src/trust/trust.ts';
import { makeIntermediate, makeMaterial } from '../authorities.ts';
import { type Answer, RecordedMachine } from './recorded-machine.ts';

const bundle = '/etc/ssl/certs/ca-certificates.crt';
const anchors = '/usr/local/share/ca-certificates/';
const ca = await generateCa();
const other = await generateCa();

/** A system whose update program does what it is for: it joins the anchors into the bundle. */
function debian(update: (machine: RecordedMachine) => Answer = joinAnchors): RecordedMachine {
  const machine: RecordedMachine = new RecordedMachine({
    platform: 'linux',
    files: { '/etc/os-release': 'ID=debian\n', [bundle]: other.certificatePem },
    answer: (line) => (line === 'update-ca-certificates --fresh' ? update(machine) : undefined),
  });
  return machine;
}

function joinAnchors({ files }: RecordedMachine): Answer {
  const texts = [...files].filter(([path]) => path.startsWith(anchors)).map(([, text]) => text);
  files.set(bundle, [other.certificatePem, ...texts].join(''));
  return {};
}

const trusted = { store: 'system', place: bundle, isTrusted: true };

test('a CA is trusted from installation to removal, and each is done once', async () => {
  const machine = debian();
  expect(await isCaTrusted(ca, { machine })).toBe(false);
  expect(await installCaSystemTrust(ca, { machine })).toEqual([{ ...trusted, hasChanged: true }]);
  expect(await installCaSystemTrust(ca, { machine })).toEqual([{ ...trusted, hasChanged: false }]);
  expect(await isCaTrusted(ca, { machine })).toBe(true);
  expect(await caTrust(ca, { machine })).toEqual([trusted]);
  const gone = { ...trusted, isTrusted: false };
  expect(await uninstallCaSystemTrust(ca, { machine })).toEqual([{ ...gone, hasChanged: true }]);
  expect(await uninstallCaSystemTrust(ca, { machine })).toEqual([{ ...gone, hasChanged: false }]);
  expect(machine.lines.filter((line) => line.startsWith('update'))).toHaveLength(2);
});

test('only the certificate is needed, and text around it does not matter', async () => {
  const machine = debian();
  await installCaSystemTrust({ certificatePem: `Subject: x\n${ca.certificatePem}\n` }, { machine });
  expect(await isCaTrusted(ca, { machine })).toBe(true);
  expect([...machine.files.values()].join('')).not.toContain('Subject: x');
});

test('a CA that came by other means is left where it is, and told of', async () => {
  const machine = debian();
  expect(await installCaSystemTrust(other, { machine })).toEqual([{ ...trusted, hasChanged: false }]);
  expect(await uninstallCaSystemTrust(other, { machine })).toEqual([{ ...trusted, hasChanged: true }]);
});

test('an anchor that never came into force is removed', async () => {
  const machine = debian();
  machine.files.set(`${anchors}soth-mitm-${ca.fingerprint.slice(0, 16)}.crt`, ca.certificatePem);
  expect(await uninstallCaSystemTrust(ca, { machine })).toMatchObject([{ hasChanged: true }]);
  expect([...machine.files.keys()].filter((path) => path.startsWith(anchors))).toEqual([]);
});

test('a system that takes the CA and does not trust it is told of', async () => {
  await expect(installCaSystemTrust(ca, { machine: debian(() => ({})) })).rejects.toMatchObject({
    code: 'OPERATION_FAILED',
    message: expect.stringContaining('does not trust it') as unknown,
  });
});

describe('what is refused before anything is done', () => {
  test.each([
    ['no certificate', 'nothing', /BEGIN CERTIFICATE/],
    ['half a certificate', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', /whole one/],
  ])('%s', async (_name, certificatePem, message) => {
    const machine = debian();
    const attempt = installCaSystemTrust({ certificatePem }, { machine });
    await expect(attempt).rejects.toMatchObject({ code: 'INVALID_MATERIAL' });
    await expect(attempt).rejects.toThrow(message);
    expect(machine.lines).toEqual([]);
  });

  test('a certificate that is no CA', async () => {
    const machine = debian();
    const { certPem } = await makeMaterial({ isCa: false });
    const attempt = installCaSystemTrust({ certificatePem: certPem }, { machine });
    await expect(attempt).rejects.toMatchObject({ code: 'INVALID_MATERIAL' });
    await expect(attempt).rejects.toThrow('is no CA');
    expect(machine.lines).toEqual([]);
  });

  test('a CA that another one has signed, which programs would not take for a root', async () => {
    const machine = debian();
    const { certPem } = await makeIntermediate(await makeMaterial());
    const attempt = installCaSystemTrust({ certificatePem: certPem }, { machine });
    await expect(attempt).rejects.toMatchObject({ code: 'INVALID_MATERIAL' });
    await expect(attempt).rejects.toThrow('where the chain begins');
    expect(machine.lines).toEqual([]);
    expect(await isCaTrusted({ certificatePem: certPem }, { machine })).toBe(false);
  });
});
