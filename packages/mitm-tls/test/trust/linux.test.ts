import { describe, expect, test } from 'vitest';

import { linuxFamily, linuxPlace } from '../../src/trust/linux.ts';
import { subject } from './recorded-machine.ts';

describe('the family of a distribution', () => {
  test.each([
    ['Debian', 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n', 'debian'],
    ['Ubuntu', 'NAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\n', 'debian'],
    ['a child of a child of Debian', 'ID=linuxmint\nID_LIKE="ubuntu debian"\n', 'debian'],
    ['Alpine, which keeps to the layout of Debian', 'NAME="Alpine Linux"\nID=alpine\n', 'debian'],
    ['Fedora', 'ID=fedora\n', 'rhel'],
    ['Red Hat', 'NAME="Red Hat Enterprise Linux"\nID="rhel"\nID_LIKE="fedora"\n', 'rhel'],
    ['Rocky', 'ID="rocky"\nID_LIKE="rhel centos fedora"\n', 'rhel'],
    ['Amazon', "ID='amzn'\nID_LIKE='fedora'\n", 'rhel'],
    ['its own id before what it is like', 'ID_LIKE=fedora\nID=debian\n', 'debian'],
    ['lines that end in CRLF', 'ID=debian\r\n', 'debian'],
    ['another family', 'ID=arch\n', undefined],
    ['VERSION_ID is no ID', 'VERSION_ID=debian\n', undefined],
    ['no file', '', undefined],
  ])('%s', (_name, osRelease, family) => {
    expect(linuxFamily(osRelease)).toBe(family);
  });
});

test('Debian: an anchor that ends in .crt, and update-ca-certificates', () => {
  const anchor = '/usr/local/share/ca-certificates/soth-mitm-f0f0f0f0f0f0f0f0.crt';
  const comesWith = 'the package ca-certificates';
  const update = {
    kind: 'run',
    command: { program: 'update-ca-certificates', args: ['--fresh'], comesWith },
  };
  expect(linuxPlace(subject, 'debian', undefined)).toEqual({
    store: 'system',
    name: '/etc/ssl/certs/ca-certificates.crt',
    probe: { kind: 'bundle', path: '/etc/ssl/certs/ca-certificates.crt' },
    install: [{ kind: 'write', path: anchor, text: subject.pem, folderFrom: comesWith }, update],
    undo: [{ kind: 'delete', path: anchor }],
    remove: [{ kind: 'delete', path: anchor }, update],
  });
});

test('RHEL: an anchor of the trust source, and update-ca-trust', () => {
  const anchor = '/etc/pki/ca-trust/source/anchors/soth-mitm-f0f0f0f0f0f0f0f0.pem';
  const comesWith = 'the package ca-certificates';
  const update = { kind: 'run', command: { program: 'update-ca-trust', args: ['extract'], comesWith } };
  expect(linuxPlace(subject, 'rhel', undefined)).toEqual({
    store: 'system',
    name: '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
    probe: { kind: 'bundle', path: '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem' },
    install: [{ kind: 'write', path: anchor, text: subject.pem, folderFrom: comesWith }, update],
    undo: [{ kind: 'delete', path: anchor }],
    remove: [{ kind: 'delete', path: anchor }, update],
  });
});

test('the anchor may be kept elsewhere', () => {
  const { install, remove } = linuxPlace(subject, 'debian', '/opt/anchor.crt');
  expect([install[0], remove[0]]).toEqual([
    expect.objectContaining({ kind: 'write', path: '/opt/anchor.crt' }),
    { kind: 'delete', path: '/opt/anchor.crt' },
  ]);
});
