// Reads the command line of `soth-mitm ca`: what to do with the CA, and the options of that.
import { type TrustStore, trustStores } from 'soth-mitm';

import { readOptions, UsageError } from './usage.ts';

/** What `soth-mitm ca` can do, in the order of the help text. */
export const caActions = {
  path: 'the file with the certificate of the CA',
  print: 'the certificate itself, as PEM',
  fingerprint: 'SHA-256 of the certificate, in hex',
  create: 'make the CA if there is none; run does so, too',
  install: 'make this machine trust the CA',
  remove: 'make this machine stop trusting it',
  check: 'whether this machine trusts it; the exit code is 25 if not',
} as const;
export type CaAction = keyof typeof caActions;

/** The options of `soth-mitm ca`. */
export const caFlagTable = {
  config: { type: 'string', operand: 'FILE', text: 'the configuration that names the CA' },
  'ca-cert': { type: 'string', operand: 'FILE', text: 'certificate of the CA (.soth-mitm/ca.pem)' },
  'ca-key': { type: 'string', operand: 'FILE', text: 'private key, for create (.soth-mitm/ca-key.pem)' },
  store: {
    type: 'string',
    multiple: true,
    operand: 'STORE',
    text: `${trustStores.join(', ')}; repeatable (system)`,
  },
  help: { type: 'boolean', short: 'h', text: 'show this' },
} as const;

/** The options of one call; what was not given is undefined. */
export interface CaFlags {
  readonly config: string | undefined;
  readonly caCert: string | undefined;
  readonly caKey: string | undefined;
  readonly stores: readonly TrustStore[];
}

export type CaCommand =
  | { readonly kind: 'help' }
  | { readonly kind: 'ca'; readonly action: CaAction; readonly flags: CaFlags };

/**
 * Reads the arguments behind `ca`.
 *
 * @throws UsageError that names the argument and what to write instead
 */
export function parseCaArguments(argv: readonly string[]): CaCommand {
  const { values, positionals } = readOptions(argv, caFlagTable);
  if (values.help === true) return { kind: 'help' };
  const [word, extra] = positionals;
  const choice = Object.keys(caActions).join(', ');
  if (word === undefined) throw new UsageError(`ca needs a word behind it: choose one of ${choice}`);
  if (!isAction(word))
    throw new UsageError(`ca ${JSON.stringify(word)} is nothing to do: choose one of ${choice}`);
  if (extra !== undefined) {
    throw new UsageError(`${JSON.stringify(extra)} belongs to no option: every value follows its --option`);
  }
  const stores = (values.store ?? []).map(parseStore);
  return {
    kind: 'ca',
    action: word,
    flags: {
      config: values.config,
      caCert: values['ca-cert'],
      caKey: values['ca-key'],
      stores: stores.length === 0 ? ['system'] : stores,
    },
  };
}

function isAction(word: string): word is CaAction {
  return Object.hasOwn(caActions, word);
}

function parseStore(text: string): TrustStore {
  const store = trustStores.find((name) => name === text);
  if (store !== undefined) return store;
  throw new UsageError(`--store is ${JSON.stringify(text)}: choose one of ${trustStores.join(', ')}`);
}
