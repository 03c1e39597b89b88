// The errors that callers of the API can meet. Each has a stable code; a code keeps its meaning for ever and is never
// given to anything else.

/** Every code of {@link MitmError} and what it means. */
export const mitmErrorCodes = {
  ERR_MITM_CONFIG_INVALID:
    'The configuration breaks one or more rules; `problems` names each with its path. Nothing was started or changed.',
  ERR_MITM_RELOAD_REQUIRES_RESTART:
    'The new configuration changes fields that a running proxy cannot change; `keys` names them. Nothing was changed.',
  ERR_MITM_CA_LOAD_FAILED:
    'The certificate authority could not be read: a file is missing, unreadable, or holds no usable certificate and key.',
  ERR_MITM_CA_OPERATION_FAILED:
    'An operation on the certificate authority failed: making, saving or rotating it, or changing what the system trusts.',
  ERR_MITM_LISTEN_FAILED:
    'The proxy could not listen on the configured address or Unix socket; `cause` holds the system error.',
  ERR_MITM_SHUTDOWN_TIMEOUT:
    'Connections were still open when the time given to shutdown ran out; they were closed by force.',
  ERR_MITM_ALREADY_STARTED: 'The proxy was started before; one proxy object serves once.',
  ERR_MITM_STOPPED: 'The proxy was stopped before; nothing was changed.',
  ERR_MITM_TASK_FAILED: 'A background task of the proxy ended unexpectedly; `cause` holds what it threw.',
  ERR_MITM_EVENT_LOG_FAILED:
    'The event log could not be opened, written or rotated; `cause` holds the system error.',
  ERR_MITM_KEY_LOG_FAILED:
    'The file for the secrets of TLS connections could not be opened; `cause` holds the system error.',
} as const;

export type MitmErrorCode = keyof typeof mitmErrorCodes;

/** The base of all errors thrown to callers of the API: tell them apart by `code`, not by message. */
export class MitmError extends Error {
  readonly code: MitmErrorCode;

  constructor(code: MitmErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'MitmError';
    this.code = code;
  }
}

/** One broken rule of a configuration. */
export interface ConfigProblem {
  /** Where, in dots and indexes: `tls.caKeyPath`, `interception.destinations[1]`; empty for the whole value. */
  readonly path: string;
  /** The rule, and how to keep it. */
  readonly message: string;
  /** What was given, shortened; left out for missing values and for fields that hold secrets. */
  readonly received?: string;
}

/** `ERR_MITM_CONFIG_INVALID`: holds all problems of the configuration, not only the first. */
export class ConfigError extends MitmError {
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[], options?: ErrorOptions) {
    super('ERR_MITM_CONFIG_INVALID', configErrorMessage(problems), options);
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** `ERR_MITM_RELOAD_REQUIRES_RESTART`: holds the paths of the fields that differ and cannot change while running. */
export class ReloadError extends MitmError {
  readonly keys: readonly string[];

  constructor(keys: readonly string[], options?: ErrorOptions) {
    super(
      'ERR_MITM_RELOAD_REQUIRES_RESTART',
      `Reload refused: ${keys.join(', ')} cannot change while the proxy runs. Keep the old value, or restart the proxy.`,
      options,
    );
    this.name = 'ReloadError';
    this.keys = keys;
  }
}

function configErrorMessage(problems: readonly ConfigProblem[]): string {
  const count = problems.length === 1 ? 'one problem' : `${problems.length} problems`;
  return [`Invalid configuration, ${count}:`, ...problems.map(problemLine)].join('\n');
}

function problemLine({ path, message, received }: ConfigProblem): string {
  const place = path === '' ? 'configuration' : path;
  return `  ${place}: ${message}${received === undefined ? '' : ` (received ${received})`}`;
}
