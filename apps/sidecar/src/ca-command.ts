// Carries out `soth-mitm ca`: shows where the CA is and what it is, makes it, and changes what this machine trusts. Results go to
// standard output, one line each, and the key is read by none of it.
import { createHash, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';

import {
  CaError,
  caTrust,
  installCaSystemTrust,
  loadOrCreateCa,
  readPassphrase,
  thisMachine,
  type TrustChange,
  type TrustedCertificate,
  type TrustMachine,
  type TrustOptions,
  type TrustState,
  uninstallCaSystemTrust,
} from 'soth-mitm';

import type { CaAction, CaFlags } from './ca-arguments.ts';
import { ConfigFileError, isRecord, readConfigFile } from './config-file.ts';
import { readEnvironment } from './environment.ts';
import { defaultCaPaths } from './settings.ts';
import type { ExitClass } from './status.ts';
import type { StopRequest } from './stop-requests.ts';

/** Everything around the command. */
export interface CaSurroundings {
  readonly variables: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly writeOut: (text: string) => void;
  readonly stops: { readonly first: Promise<StopRequest> };
  /** This one when absent. */
  readonly machine?: TrustMachine;
}

/** What this machine trusts could not be changed, or not be asked; the message says what to do. */
export class CaTrustError extends Error {
  override readonly name = 'CaTrustError';
}

interface CaFiles {
  readonly certPath: string;
  /** Undefined where only the certificate was named. */
  readonly keyPath: string | undefined;
  /** `tls` of the configuration file. */
  readonly tls: Readonly<Record<string, unknown>>;
}

/** Does what the command says. The result is the class to exit with; failures are thrown. */
export async function runCaCommand(
  { action, flags }: { readonly action: CaAction; readonly flags: CaFlags },
  around: CaSurroundings,
): Promise<ExitClass> {
  const files = await filesOf(flags, around.cwd);
  const { certPath } = files;
  const say = (line: string): void => around.writeOut(`${line}\n`);
  switch (action) {
    case 'path':
      say(certPath);
      return 'ok';
    case 'create':
      say(await create(files, around));
      return 'ok';
    case 'print':
      around.writeOut((await certificateIn(certPath)).toString());
      return 'ok';
    case 'fingerprint':
      say(
        createHash('sha256')
          .update((await certificateIn(certPath)).raw)
          .digest('hex'),
      );
      return 'ok';
    case 'install':
    case 'remove':
    case 'check': {
      const certificatePem = (await certificateIn(certPath)).toString();
      return await changeTrust(action, { certificatePem, flags, around });
    }
  }
}

interface TrustInput {
  readonly certificatePem: string;
  readonly flags: CaFlags;
  readonly around: CaSurroundings;
}

type TrustAction = 'install' | 'remove' | 'check';

async function changeTrust(
  action: TrustAction,
  { certificatePem, flags, around }: TrustInput,
): Promise<ExitClass> {
  const leaving = new AbortController();
  void around.stops.first.then(() => leaving.abort());
  const machine = around.machine ?? { ...thisMachine(), environment: around.variables };
  const options: TrustOptions = { stores: flags.stores, signal: leaving.signal, machine };
  try {
    const { lines, isAsAsked } = await trustActions[action]({ certificatePem }, options);
    const isHalf = action === 'install' && machine.platform === 'linux' && !flags.stores.includes('nss');
    for (const line of isHalf ? [...lines, browserHint] : lines) around.writeOut(`${line}\n`);
    return isAsAsked ? 'ok' : 'ca_not_trusted';
  } catch (error) {
    if (!(error instanceof CaError) || error.code === 'INVALID_MATERIAL') throw error;
    throw new CaTrustError(error.message, { cause: error });
  }
}

const browserHint =
  'Chromium and Firefox keep lists of their own: soth-mitm ca install --store nss, as the user who runs them';

interface TrustOutcome {
  readonly lines: readonly string[];
  readonly isAsAsked: boolean;
}

const trustActions: Readonly<
  Record<TrustAction, (ca: TrustedCertificate, options: TrustOptions) => Promise<TrustOutcome>>
> = {
  install: async (ca, options) => {
    const changes = await installCaSystemTrust(ca, options);
    const lines = changes.map(
      (one) => `${one.hasChanged ? 'trusted now' : 'trusted already'}: ${nameOf(one)}`,
    );
    return { lines, isAsAsked: true };
  },
  remove: async (ca, options) => {
    const changes = await uninstallCaSystemTrust(ca, options);
    return { lines: changes.map(removalLine), isAsAsked: true };
  },
  check: async (ca, options) => {
    const states = await caTrust(ca, options);
    const lines = states.map((one) => `${one.isTrusted ? 'trusted' : 'not trusted'}: ${nameOf(one)}`);
    return { lines, isAsAsked: states.every(({ isTrusted }) => isTrusted) };
  },
};

function removalLine(change: TrustChange): string {
  if (change.isTrusted) return `still trusted, by other means than ours: ${nameOf(change)}`;
  return `${change.hasChanged ? 'removed' : 'was not there'}: ${nameOf(change)}`;
}

function nameOf({ store, place }: TrustState): string {
  return `${store} ${place}`;
}

async function create({ certPath, keyPath, tls }: CaFiles, { variables }: CaSurroundings): Promise<string> {
  if (keyPath === undefined) {
    throw new CaError(
      'INVALID_MATERIAL',
      'only the certificate of the CA is named: name its key too, with --ca-key',
    );
  }
  const commonName = textIn(tls, 'caCommonName');
  const organization = textIn(tls, 'caOrganization');
  const { isNew } = await loadOrCreateCa({
    certPath,
    keyPath,
    passphrase: await passphraseOf(tls, variables),
    ...(commonName !== undefined && { commonName }),
    ...(organization !== undefined && { organization }),
  });
  return `${isNew ? 'made' : 'there already'}: ${certPath}`;
}

/** What encrypts the key, from where `run` takes it. */
async function passphraseOf(tls: CaFiles['tls'], variables: NodeJS.ProcessEnv): Promise<string | undefined> {
  const { caKeyPassphrase } = readEnvironment(variables);
  if (caKeyPassphrase !== undefined) return caKeyPassphrase;
  const file = textIn(tls, 'caKeyPassphraseFile');
  return file === undefined ? textIn(tls, 'caKeyPassphrase') : await readPassphrase(file);
}

/** The files that `run` would use, given the same options. */
async function filesOf({ config, caCert, caKey }: CaFlags, cwd: string): Promise<CaFiles> {
  const file = config === undefined ? {} : await readConfigFile(config);
  const tls = isRecord(file['tls']) ? file['tls'] : {};
  const named = {
    certPath: caCert ?? textIn(tls, 'caCertPath'),
    keyPath: caKey ?? textIn(tls, 'caKeyPath'),
  };
  if (named.certPath === undefined && named.keyPath === undefined) return { ...defaultCaPaths(cwd), tls };
  if (named.certPath === undefined) {
    throw new ConfigFileError('only the key of the CA is named: name its certificate too, with --ca-cert');
  }
  return {
    certPath: resolve(cwd, named.certPath),
    keyPath: named.keyPath === undefined ? undefined : resolve(cwd, named.keyPath),
    tls,
  };
}

function textIn(tls: Readonly<Record<string, unknown>>, name: string): string | undefined {
  const value = tls[name];
  if (value === undefined || typeof value === 'string') return value;
  throw new ConfigFileError(`tls.${name} must be a text, received ${JSON.stringify(value)}`);
}

/** The first certificate of a file. */
async function certificateIn(path: string): Promise<X509Certificate> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
    const advice =
      code === 'ENOENT' ? 'there is none yet: soth-mitm ca create makes it' : `it cannot be read (${code})`;
    throw new CaError('IO', `the certificate of the CA, ${path}: ${advice}`, { path, cause });
  }
  const [block] = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/u.exec(text) ?? [];
  try {
    if (block !== undefined) return new X509Certificate(block);
  } catch (cause) {
    throw new CaError('INVALID_MATERIAL', `${path} holds no certificate that can be read`, { path, cause });
  }
  throw new CaError('INVALID_MATERIAL', `${path} holds no "BEGIN CERTIFICATE" block`, { path });
}
