// Merges what flags, environment and file say into one configuration, in this order of precedence. It judges nothing that
// the configuration schema judges, and remembers who said what, so that a problem can be told to whoever can solve it.
import { join } from 'node:path';

import type { MitmConfigInput } from 'soth-mitm';

import type { RunFlags } from './arguments.ts';
import { isRecord } from './config-file.ts';
import { environmentRoute } from './environment-proxy.ts';
import { type Environment, environmentNames, positiveNumber } from './environment.ts';

/** Where the program keeps what it makes itself, below the current directory. */
export const stateFolder = '.soth-mitm';

/** The files of the CA where nobody says otherwise. */
export function defaultCaPaths(cwd: string): { readonly certPath: string; readonly keyPath: string } {
  return { certPath: join(cwd, stateFolder, 'ca.pem'), keyPath: join(cwd, stateFolder, 'ca-key.pem') };
}

export interface Settings {
  /** What `createMitmProxy` is given. It may still be invalid: that is for the schema to say. */
  readonly config: MitmConfigInput;
  /** Nobody said where to listen. */
  readonly hasDefaultListen: boolean;
  /** The flag or variable that a field of the configuration comes from, where it is not the file. */
  readonly sources: ReadonlyMap<string, string>;
}

export interface SettingsInput {
  readonly flags: RunFlags;
  readonly environment: Environment;
  /** The content of the configuration file; undefined when none was given. */
  readonly file: Readonly<Record<string, unknown>> | undefined;
  readonly cwd: string;
}

type Fields = Readonly<Record<string, unknown>>;

/** One value for one field, and who says so. */
interface Saying {
  readonly path: readonly [string] | readonly [string, string];
  readonly value: unknown;
  readonly source?: string;
}

/**
 * The settings of a run.
 *
 * @throws EnvironmentError for a variable that is not the number, or the proxy, it has to be
 */
export function settingsOf(input: SettingsInput): Settings {
  const { flags, file } = input;
  const sayings = [
    ...listening(flags),
    ...intercepting(flags, file),
    ...authority(input),
    ...trusting(flags, file),
    ...routing(input),
    ...logging(input),
    ...secrets(input),
    ...watching(flags),
  ];
  const merged = sayings.reduce<Fields>(withSaying, file ?? {});
  return {
    config: asInput(merged),
    hasDefaultListen: merged['bind'] === undefined,
    sources: new Map(
      sayings.flatMap(({ path, source }) => (source === undefined ? [] : [[path.join('.'), source]])),
    ),
  };
}

function listening({ listen, unixSocket, once }: RunFlags): Saying[] {
  const said: Saying[] = [];
  if (listen !== undefined) said.push({ path: ['bind'], value: listen, source: '--listen' });
  else if (once) said.push({ path: ['bind'], value: '127.0.0.1:0', source: '--once' });
  if (unixSocket !== undefined)
    said.push({ path: ['unixSocketPath'], value: unixSocket, source: '--unix-socket' });
  return said;
}

function intercepting({ intercept }: RunFlags, file: Fields | undefined): Saying[] {
  const path = ['interception', 'destinations'] as const;
  if (intercept.length > 0) return [{ path, value: intercept, source: '--intercept' }];
  return file === undefined ? [{ path, value: ['*:*'] }] : [];
}

function authority({ flags, file, cwd }: SettingsInput): Saying[] {
  const said: Saying[] = [];
  if (flags.caCert !== undefined) {
    said.push({ path: ['tls', 'caCertPath'], value: flags.caCert, source: '--ca-cert' });
  }
  if (flags.caKey !== undefined) {
    said.push({ path: ['tls', 'caKeyPath'], value: flags.caKey, source: '--ca-key' });
  }
  const tls = file?.['tls'];
  const isInFile = isRecord(tls) && (tls['caCertPath'] !== undefined || tls['caKeyPath'] !== undefined);
  if (said.length > 0 || isInFile) return said;
  const { certPath, keyPath } = defaultCaPaths(cwd);
  return [
    { path: ['tls', 'caCertPath'], value: certPath },
    { path: ['tls', 'caKeyPath'], value: keyPath },
  ];
}

/** The environment's proxy replaces all that the file says about the way. */
function routing({ flags, environment }: SettingsInput): Saying[] {
  const route = flags.useEnvProxy ? environmentRoute(environment.variables) : undefined;
  return Object.entries(route ?? {}).map(([field, value]) => ({
    path: [field],
    value,
    source: '--use-env-proxy',
  }));
}

function trusting({ upstreamCa }: RunFlags, file: Fields | undefined): Saying[] {
  if (upstreamCa.length === 0) return [];
  const upstream = file?.['upstream'];
  const listed = (isRecord(upstream) ? upstream['caPaths'] : undefined) ?? [];
  const isList = Array.isArray(listed);
  // What is no list stays as it is, for the schema to complain about.
  const value: unknown = isList ? [...listed, ...upstreamCa] : listed;
  return [{ path: ['upstream', 'caPaths'], value, ...(isList ? { source: '--upstream-ca' } : {}) }];
}

function logging({ flags, environment, file }: SettingsInput): Saying[] {
  const said: Saying[] = [];
  if (flags.eventLog !== undefined) {
    said.push({ path: ['eventLog', 'path'], value: flags.eventLog, source: '--event-log' });
  } else if (environment.eventLogPath !== undefined) {
    const { eventLogPath: value } = environment;
    said.push({ path: ['eventLog', 'path'], value, source: environmentNames.eventLogPath });
  }
  // Without a log there is nothing that the numbers could be about.
  if (said.length === 0 && file?.['eventLog'] === undefined) return [];
  for (const key of ['flushEvery', 'rotateBytes'] as const) {
    const value = positiveNumber(key, environment);
    if (value !== undefined) said.push({ path: ['eventLog', key], value, source: environmentNames[key] });
  }
  const { hmacKeyPath: value } = environment;
  if (value !== undefined)
    said.push({ path: ['eventLog', 'hmacKeyPath'], value, source: environmentNames.hmacKeyPath });
  return said;
}

/** The passphrase of the authority's key, and where TLS secrets are logged. */
function secrets({ environment }: SettingsInput): Saying[] {
  const { caKeyPassphrase, keyLogPath } = environment;
  const said: Saying[] = [];
  if (caKeyPassphrase !== undefined) {
    const source = environmentNames.caKeyPassphrase;
    said.push({ path: ['tls', 'caKeyPassphrase'], value: caKeyPassphrase, source });
  }
  if (keyLogPath !== undefined) {
    said.push({ path: ['tls', 'keyLogPath'], value: keyLogPath, source: environmentNames.keyLogPath });
  }
  return said;
}

function watching({ admin }: RunFlags): Saying[] {
  return admin === undefined ? [] : [{ path: ['admin', 'bind'], value: admin, source: '--admin' }];
}

function withSaying(config: Fields, { path: [section, field], value }: Saying): Fields {
  if (field === undefined) return { ...config, [section]: value };
  const current = config[section] ?? {};
  // A section that is none stays as it is, for the schema to complain about.
  return isRecord(current) ? { ...config, [section]: { ...current, [field]: value } } : config;
}

/** Data from outside under the type that the schema then checks it against. */
function asInput(config: unknown): MitmConfigInput {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- createMitmProxy validates it
  return config as MitmConfigInput;
}
