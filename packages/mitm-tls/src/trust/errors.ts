// What can go wrong while trust is changed, as errors that say what to do about it.
import { CaError } from '../errors.ts';
import type { Command, CommandResult, Machine } from './machine.ts';

/** What is being done; its name begins the messages. */
export type TrustOperation = 'install_ca_trust' | 'uninstall_ca_trust' | 'is_ca_trusted';

export interface ErrorPlace {
  readonly operation: TrustOperation;
  readonly machine: Pick<Machine, 'platform'>;
}

const refusal =
  /permission denied|not permitted|user interaction is not allowed|no user interaction was possible|access is denied|authorization was denied|0x80070005|0x800704c7|SEC_ERROR_(?:READ_ONLY|TOKEN_NOT_LOGGED_IN|BAD_PASSWORD)/i;
const maxLineCount = 4;

/** A program that could not be started, or was ended from outside. */
export function startError(
  { program, comesWith }: Command,
  cause: unknown,
  { operation }: ErrorPlace,
): CaError {
  const code = codeOf(cause);
  if (code === 'ENOENT') {
    const advice = comesWith === undefined ? 'it should come with the system' : `install ${comesWith}`;
    const message = `${operation}: the program ${program} is not there: ${advice}`;
    return new CaError('UNSUPPORTED_OPERATION', message, { cause });
  }
  if (code === 'EACCES' || code === 'EPERM') {
    const message = `${operation}: this user may not run ${program} (${code})`;
    return new CaError('PERMISSION_DENIED', message, { cause });
  }
  const message = `${operation}: ${program} did not come to its end: ${textOf(cause)}`;
  return new CaError('OPERATION_FAILED', message, { cause });
}

/** A program that ended with an error, in its own words. */
export function commandError({ program, args }: Command, result: CommandResult, place: ErrorPlace): CaError {
  const lines = saidBy(result)
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .slice(0, maxLineCount);
  const said = lines.length === 0 ? 'it said nothing' : lines.join('; ');
  const detail = `${place.operation}: ${program} ${args.join(' ')} ended with ${result.code}: ${said}`;
  return refusal.test(said)
    ? new CaError('PERMISSION_DENIED', `${detail}: ${permissionAdvice(place)}`)
    : new CaError('OPERATION_FAILED', detail);
}

/**
 * A file or folder that the system would not let us have.
 *
 * @param folderFrom what brings the folder, where it should be there
 */
export function fileError(path: string, cause: unknown, place: ErrorPlace, folderFrom?: string): CaError {
  const { operation } = place;
  const code = codeOf(cause);
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    const message = `${operation}: this user has no permission for ${path} (${code}): ${permissionAdvice(place)}`;
    return new CaError('PERMISSION_DENIED', message, { path, cause });
  }
  if (code === 'ENOENT' && folderFrom !== undefined) {
    const message = `${operation}: there is no folder for ${path}: install ${folderFrom}`;
    return new CaError('UNSUPPORTED_OPERATION', message, { path, cause });
  }
  const message = `${operation}: ${path} failed with ${code ?? textOf(cause)}: check the path and the disk`;
  return new CaError('IO', message, { path, cause });
}

/** A change that failed and left something behind. */
export function leftoverError(error: unknown, undoError: unknown): CaError {
  const message = `${textOf(error)}; what was begun could not be taken back: ${textOf(undoError)}`;
  return new CaError('OPERATION_FAILED', message, { cause: new AggregateError([error, undoError], message) });
}

/** All that a program said. */
export function saidBy({ stdout, stderr }: CommandResult): string {
  // Some complain on the one, some on the other.
  return `${stderr}\n${stdout}`;
}

function permissionAdvice({ machine }: ErrorPlace): string {
  return machine.platform === 'win32'
    ? 'run it as an administrator'
    : 'run it as root, for instance with sudo';
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
