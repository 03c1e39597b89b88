// The trust store of a Linux system: one file with the CA, and the program that makes the bundle of all of them. Which folder and
// which program depends on the family of the distribution.
import { posix } from 'node:path';

import { entryName, type TrustPlace, type TrustSubject } from './place.ts';

/** `debian`: also Ubuntu and Alpine, which keep to the same layout. `rhel`: also Fedora, CentOS and their like. */
export type LinuxFamily = 'debian' | 'rhel';

interface FamilyLayout {
  readonly anchorFolder: string;
  /** The update programs only look at files with this ending. */
  readonly anchorEnding: string;
  readonly update: string;
  readonly args: readonly string[];
  /** What programs read. */
  readonly bundle: string;
}

const layouts: Readonly<Record<LinuxFamily, FamilyLayout>> = {
  debian: {
    anchorFolder: '/usr/local/share/ca-certificates',
    anchorEnding: '.crt',
    update: 'update-ca-certificates',
    // Without it, links to anchors that are gone stay in /etc/ssl/certs.
    args: ['--fresh'],
    bundle: '/etc/ssl/certs/ca-certificates.crt',
  },
  rhel: {
    anchorFolder: '/etc/pki/ca-trust/source/anchors',
    anchorEnding: '.pem',
    update: 'update-ca-trust',
    args: ['extract'],
    bundle: '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  },
};

const familyById: Readonly<Record<string, LinuxFamily>> = {
  alpine: 'debian',
  debian: 'debian',
  ubuntu: 'debian',
  centos: 'rhel',
  fedora: 'rhel',
  rhel: 'rhel',
};

/** The family that an os-release file tells, by `ID` and then by `ID_LIKE`; undefined for one that is not known here. */
export function linuxFamily(osRelease: string): LinuxFamily | undefined {
  const ids = ['ID', 'ID_LIKE'].flatMap((name) => osReleaseValue(osRelease, name).split(/\s+/));
  for (const id of ids) {
    if (Object.hasOwn(familyById, id)) return familyById[id];
  }
  return undefined;
}

function osReleaseValue(osRelease: string, name: string): string {
  const line = osRelease.split(/\r?\n/).find((text) => text.startsWith(`${name}=`)) ?? '';
  return line
    .slice(name.length + 1)
    .trim()
    .replace(/^(["'])(.*)\1$/, '$2');
}

/**
 * The store that all programs of the system share.
 *
 * @param anchorPath the file to keep the CA in, in place of one named after its fingerprint
 */
export function linuxPlace(
  subject: TrustSubject,
  family: LinuxFamily,
  anchorPath: string | undefined,
): TrustPlace {
  const { anchorFolder, anchorEnding, update, args, bundle } = layouts[family];
  const anchor = anchorPath ?? posix.join(anchorFolder, `${entryName(subject)}${anchorEnding}`);
  const comesWith = 'the package ca-certificates';
  const publish = { kind: 'run', command: { program: update, args, comesWith } } as const;
  const forget = { kind: 'delete', path: anchor } as const;
  return {
    store: 'system',
    name: bundle,
    probe: { kind: 'bundle', path: bundle },
    install: [{ kind: 'write', path: anchor, text: subject.pem, folderFrom: comesWith }, publish],
    undo: [forget],
    remove: [forget, publish],
  };
}
