// Which places a machine has for a CA.
import { posix, win32 } from 'node:path';

import { CaError } from '../errors.ts';
import { darwinPlace } from './darwin.ts';
import { fileError, type TrustOperation } from './errors.ts';
import { linuxFamily, linuxPlace } from './linux.ts';
import type { Machine } from './machine.ts';
import { chromiumDatabase, nssDatabases, nssPlace } from './nss.ts';
import type { TrustPlace, TrustStore, TrustSubject } from './place.ts';
import { windowsPlace } from './win32.ts';

/** The stores of each platform. */
const storesOf: Readonly<Partial<Record<NodeJS.Platform, readonly TrustStore[]>>> = {
  linux: ['system', 'nss'],
  darwin: ['system', 'user', 'nss'],
  win32: ['system', 'user'],
};

export interface PlacesTask {
  readonly machine: Machine;
  readonly operation: TrustOperation;
}

/**
 * The places of the wanted stores on this machine, in that order. Throws CaError `UNSUPPORTED_OPERATION` for a store that the
 * platform does not have, and for a Linux of another family.
 */
export async function placesFor(
  subject: TrustSubject,
  stores: readonly TrustStore[],
  task: PlacesTask,
): Promise<readonly TrustPlace[]> {
  const places: TrustPlace[] = [];
  for (const store of new Set(stores)) places.push(...(await placesOf(store, subject, task)));
  return places;
}

async function placesOf(
  store: TrustStore,
  subject: TrustSubject,
  task: PlacesTask,
): Promise<readonly TrustPlace[]> {
  const { machine, operation } = task;
  const { platform, environment, home } = machine;
  const known = storesOf[platform] ?? [];
  if (!known.includes(store)) {
    const advice = known.length === 0 ? 'add the certificate by hand' : `use ${known.join(' or ')}`;
    throw new CaError(
      'UNSUPPORTED_OPERATION',
      `${operation}: ${platform} has no store "${store}": ${advice}`,
    );
  }
  if (store === 'nss') return await nssPlaces(subject, machine);
  if (platform === 'linux') return [await systemOfLinux(subject, task)];
  const paths = platform === 'win32' ? win32 : posix;
  const stateFolder = setting(environment, 'SOTH_MITM_STATE_DIR') ?? paths.join(home, '.soth-mitm');
  if (platform === 'darwin') return [darwinPlace(subject, { store, home, stateFolder })];
  const systemRoot = setting(environment, 'SystemRoot') ?? String.raw`C:\Windows`;
  return [windowsPlace(subject, { store, systemRoot, stateFolder })];
}

async function systemOfLinux(subject: TrustSubject, { machine, operation }: PlacesTask): Promise<TrustPlace> {
  const path = '/etc/os-release';
  let osRelease: string | undefined;
  try {
    osRelease = await machine.readText(path);
  } catch (error) {
    throw fileError(path, error, { machine, operation });
  }
  const family = linuxFamily(osRelease ?? '');
  if (family === undefined) {
    throw new CaError(
      'UNSUPPORTED_OPERATION',
      `${operation}: ${path} names no distribution of the Debian or RHEL family: add the certificate by hand`,
    );
  }
  return linuxPlace(subject, family, setting(machine.environment, 'SOTH_MITM_LINUX_CA_PATH'));
}

async function nssPlaces(subject: TrustSubject, machine: Machine): Promise<readonly TrustPlace[]> {
  const folders = await nssDatabases(machine);
  if (folders.length > 0) return folders.map((folder) => nssPlace(subject, { folder }));
  return [nssPlace(subject, { folder: chromiumDatabase(machine.home), isMissing: true })];
}

function setting(environment: Machine['environment'], name: string): string | undefined {
  const text = environment[name]?.trim();
  return text === '' ? undefined : text;
}
