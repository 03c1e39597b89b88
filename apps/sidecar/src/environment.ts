// The environment variables of the program, by the names they have always had. Blank is the same as unset.

/** What the environment says; undefined where it says nothing. */
export interface Environment {
  readonly statusPath: string | undefined;
  readonly eventLogPath: string | undefined;
  readonly flushEvery: string | undefined;
  readonly rotateBytes: string | undefined;
  readonly caKeyPassphrase: string | undefined;
  readonly keyLogPath: string | undefined;
  readonly hmacKeyPath: string | undefined;
  /** All variables, for the customary ones that name a proxy. */
  readonly variables: NodeJS.ProcessEnv;
}

/** Where each of them comes from. */
export const environmentNames = {
  statusPath: 'SOTH_MITM_AUTOMATION_STATUS_PATH',
  eventLogPath: 'SOTH_MITM_EVENT_LOG_V2_PATH',
  flushEvery: 'SOTH_MITM_EVENT_LOG_V2_FLUSH_EVERY',
  rotateBytes: 'SOTH_MITM_EVENT_LOG_V2_ROTATE_BYTES',
  caKeyPassphrase: 'SOTH_MITM_CA_KEY_PASSPHRASE',
  keyLogPath: 'SSLKEYLOGFILE',
  hmacKeyPath: 'SOTH_MITM_EVENT_LOG_V2_HMAC_KEY_PATH',
} as const satisfies Record<Exclude<keyof Environment, 'variables'>, string>;

/** A variable whose value is not what it has to be; the message names it. */
export class EnvironmentError extends Error {
  override readonly name = 'EnvironmentError';
}

/** Picks the program's variables; none of them is judged here. */
export function readEnvironment(variables: NodeJS.ProcessEnv): Environment {
  const read = (name: string): string | undefined => {
    const text = variables[name]?.trim();
    return text === '' ? undefined : text;
  };
  return {
    statusPath: read(environmentNames.statusPath),
    eventLogPath: read(environmentNames.eventLogPath),
    flushEvery: read(environmentNames.flushEvery),
    rotateBytes: read(environmentNames.rotateBytes),
    // Blanks may belong to it.
    caKeyPassphrase: variables[environmentNames.caKeyPassphrase] || undefined,
    keyLogPath: read(environmentNames.keyLogPath),
    hmacKeyPath: read(environmentNames.hmacKeyPath),
    variables,
  };
}

/**
 * The number in a variable, or undefined when it is not set.
 *
 * @throws EnvironmentError unless it is a whole number from 1
 */
export function positiveNumber(
  key: 'flushEvery' | 'rotateBytes',
  environment: Environment,
): number | undefined {
  const text = environment[key];
  if (text === undefined) return undefined;
  const value = /^\d+$/u.test(text) ? Number(text) : 0;
  if (value > 0 && Number.isSafeInteger(value)) return value;
  throw new EnvironmentError(
    `${environmentNames[key]} is ${JSON.stringify(text)}: set it to a whole number from 1, or unset it`,
  );
}
