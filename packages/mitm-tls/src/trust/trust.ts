// Makes a machine trust a CA, or stop trusting it, and tells whether it does. Only what is missing is done, so that asking twice
// changes nothing; no other CA is ever touched.
import { createHash, X509Certificate } from 'node:crypto';

import { encodePem, fingerprintOf, splitCertificatePems } from '../certificate.ts';
import { CaError } from '../errors.ts';
import { hasLeftovers, installIn, isTrustedIn, removeFrom, type TrustTask } from './change.ts';
import { type Machine, thisMachine } from './machine.ts';
import type { TrustPlace, TrustStore, TrustSubject } from './place.ts';
import { placesFor } from './places.ts';

/** The CA in question: a CertificateAuthority, or only its certificate, since no key is needed. */
export interface TrustedCertificate {
  /** PEM; the first certificate block counts. */
  readonly certificatePem: string;
}

export interface TrustOptions {
  /** Which stores; `['system']` when absent. */
  readonly stores?: readonly TrustStore[];
  /** Ends programs that wait, for instance for somebody to confirm. */
  readonly signal?: AbortSignal;
  /** The machine to act on; this one when absent. */
  readonly machine?: Machine;
}

/** How a CA stands in one place. */
export interface TrustState {
  readonly store: TrustStore;
  /** The bundle, folder, keychain or store. */
  readonly place: string;
  readonly isTrusted: boolean;
}

/** What became of one place. */
export interface TrustChange extends TrustState {
  /** False where the place was already as wanted. */
  readonly hasChanged: boolean;
}

/**
 * Makes this machine trust a CA: whoever holds its key can then read and change this machine's TLS traffic. Only ever called for
 * somebody who asked for just that.
 *
 * @throws CaError `PERMISSION_DENIED` (the message begins with `install_ca_trust`), `UNSUPPORTED_OPERATION` where the platform, or
 * a program that is needed, is missing, `INVALID_MATERIAL` for what is no self-signed CA certificate, `OPERATION_FAILED`, `IO`
 */
export async function installCaSystemTrust(
  ca: TrustedCertificate,
  options: TrustOptions = {},
): Promise<readonly TrustChange[]> {
  const subject = subjectOf(ca, { mustBeRoot: true });
  const task = taskOf('install_ca_trust', options);
  const changes = await eachPlace(subject, options, task, async (place, isTrusted) => {
    if (isTrusted) return false;
    await installIn(place, task);
    return true;
  });
  const doubting = changes.find(({ isTrusted }) => !isTrusted);
  if (doubting === undefined) return changes;
  throw new CaError(
    'OPERATION_FAILED',
    `install_ca_trust: ${doubting.place} took the CA and does not trust it: look for a rule there that denies it`,
  );
}

/**
 * Makes this machine stop trusting a CA. Where somebody put the same CA in by other means, it may stay trusted, as `isTrusted`
 * then tells.
 *
 * @throws CaError as {@link installCaSystemTrust} does, with `uninstall_ca_trust`
 */
export async function uninstallCaSystemTrust(
  ca: TrustedCertificate,
  options: TrustOptions = {},
): Promise<readonly TrustChange[]> {
  const subject = subjectOf(ca, { mustBeRoot: false });
  const task = taskOf('uninstall_ca_trust', options);
  return await eachPlace(subject, options, task, async (place, isTrusted) => {
    if (!isTrusted && !(await hasLeftovers(place, task))) return false;
    await removeFrom(place, task);
    return true;
  });
}

/**
 * How a CA stands in each place of the wanted stores. It changes nothing and needs no permission.
 *
 * @throws CaError as {@link installCaSystemTrust} does, with `is_ca_trusted`
 */
export async function caTrust(
  ca: TrustedCertificate,
  options: TrustOptions = {},
): Promise<readonly TrustState[]> {
  const subject = subjectOf(ca, { mustBeRoot: false });
  const task = taskOf('is_ca_trusted', options);
  const places = await placesFor(subject, options.stores ?? ['system'], task);
  const states: TrustState[] = [];
  for (const place of places) states.push(stateOf(place, await isTrustedIn(place, subject, task)));
  return states;
}

/** Whether every place of the wanted stores trusts a CA. Throws like {@link caTrust}. */
export async function isCaTrusted(ca: TrustedCertificate, options: TrustOptions = {}): Promise<boolean> {
  const states = await caTrust(ca, options);
  return states.every(({ isTrusted }) => isTrusted);
}

async function eachPlace(
  subject: TrustSubject,
  { stores = ['system'] }: TrustOptions,
  task: TrustTask,
  change: (place: TrustPlace, isTrusted: boolean) => Promise<boolean>,
): Promise<readonly TrustChange[]> {
  const changes: TrustChange[] = [];
  for (const place of await placesFor(subject, stores, task)) {
    const wasTrusted = await isTrustedIn(place, subject, task);
    const hasChanged = await change(place, wasTrusted);
    const isTrusted = hasChanged ? await isTrustedIn(place, subject, task) : wasTrusted;
    changes.push({ ...stateOf(place, isTrusted), hasChanged });
  }
  return changes;
}

function stateOf({ store, name }: TrustPlace, isTrusted: boolean): TrustState {
  return { store, place: name, isTrusted };
}

function taskOf(
  operation: TrustTask['operation'],
  { machine = thisMachine(), signal }: TrustOptions,
): TrustTask {
  return { machine, operation, signal };
}

function subjectOf(
  { certificatePem }: TrustedCertificate,
  { mustBeRoot }: { readonly mustBeRoot: boolean },
): TrustSubject {
  const [block] = splitCertificatePems(certificatePem);
  const certificate = parse(block);
  if (!certificate.ca)
    throw new CaError('INVALID_MATERIAL', 'the certificate is no CA: give the certificate of the CA');
  const isRoot = certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey);
  if (mustBeRoot && !isRoot) {
    throw new CaError(
      'INVALID_MATERIAL',
      'the CA is signed by another one: install that one, where the chain begins',
    );
  }
  const { raw } = certificate;
  return {
    pem: encodePem('CERTIFICATE', raw),
    fingerprint: fingerprintOf(raw),
    thumbprint: createHash('sha1').update(raw).digest('hex'),
  };
}

function parse(block: string | undefined): X509Certificate {
  try {
    if (block !== undefined) return new X509Certificate(block);
  } catch (cause) {
    throw new CaError('INVALID_MATERIAL', 'the certificate cannot be read: give a whole one in PEM form', {
      cause,
    });
  }
  throw new CaError(
    'INVALID_MATERIAL',
    'there is no "BEGIN CERTIFICATE" block: give a certificate in PEM form',
  );
}
