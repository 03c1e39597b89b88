// Turns whatever ended the program into an exit class and sentences that say what to do about it.
import {
  CaError,
  ConfigError,
  type ConfigProblem,
  EventLogError,
  MitmError,
  type MitmErrorCode,
} from 'soth-mitm';

import { CaTrustError } from './ca-command.ts';
import { ConfigFileError } from './config-file.ts';
import { EnvironmentError } from './environment.ts';
import { LogCommandError } from './log-command.ts';
import type { ExitClass } from './status.ts';
import { UsageError } from './usage.ts';

export interface ExitReason {
  readonly exitClass: ExitClass;
  /** For people, without line breaks: what happened and what to do, and for a configuration a line per problem. */
  readonly lines: readonly string[];
}

/** The demo's own request did not do what it shows; the message is one sentence. */
export class SelfCheckError extends Error {
  override readonly name = 'SelfCheckError';
}

export interface ReasonContext {
  /** Whether clients could already connect. */
  readonly wasRunning: boolean;
  /** Who set which field, see `Settings`. */
  readonly sources?: ReadonlyMap<string, string>;
}

const classOfCode: Partial<Record<MitmErrorCode, ExitClass>> = {
  ERR_MITM_CONFIG_INVALID: 'config_invalid',
  ERR_MITM_RELOAD_REQUIRES_RESTART: 'config_invalid',
  ERR_MITM_EVENT_LOG_FAILED: 'event_sink_init_failed',
  ERR_MITM_CA_LOAD_FAILED: 'sidecar_init_failed',
  ERR_MITM_CA_OPERATION_FAILED: 'sidecar_init_failed',
  ERR_MITM_LISTEN_FAILED: 'runtime_failed',
};

/** Why the program ends, of anything that was thrown. */
export function explainFailure(
  error: unknown,
  { wasRunning, sources = new Map() }: ReasonContext,
): ExitReason {
  if (error instanceof UsageError || error instanceof ConfigFileError) {
    return { exitClass: 'config_invalid', lines: [error.message] };
  }
  if (error instanceof EnvironmentError)
    return { exitClass: 'event_sink_init_failed', lines: [error.message] };
  if (error instanceof EventLogError || error instanceof LogCommandError)
    return { exitClass: 'log_unreadable', lines: [oneLine(error.message)] };
  if (error instanceof SelfCheckError) return { exitClass: 'runtime_failed', lines: [error.message] };
  if (error instanceof ConfigError) {
    return { exitClass: 'config_invalid', lines: configLines(error.problems, sources) };
  }
  if (error instanceof CaTrustError) return { exitClass: 'ca_trust_failed', lines: [oneLine(error.message)] };
  if (error instanceof CaError) return { exitClass: 'sidecar_init_failed', lines: [oneLine(error.message)] };
  const exitClass = wasRunning ? 'runtime_failed' : 'sidecar_init_failed';
  if (error instanceof MitmError) {
    return { exitClass: classOfCode[error.code] ?? exitClass, lines: [oneLine(sentenceOf(error))] };
  }
  const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { exitClass, lines: ['unexpected error, please report it:', ...detail.split('\n')] };
}

function configLines(
  problems: readonly ConfigProblem[],
  sources: ReadonlyMap<string, string>,
): readonly string[] {
  const count = problems.length === 1 ? 'a problem' : `${problems.length} problems`;
  return [`the configuration has ${count}:`, ...problems.map((problem) => problemLine(problem, sources))];
}

function problemLine(
  { path, message, received }: ConfigProblem,
  sources: ReadonlyMap<string, string>,
): string {
  const source = sources.get(path.replaceAll(/\[\d+\]/gu, ''));
  const place = path === '' ? 'configuration' : path;
  const origin = source === undefined ? '' : ` (from ${source})`;
  return oneLine(`  ${place}${origin}: ${message}${received === undefined ? '' : ` (received ${received})`}`);
}

function sentenceOf(error: MitmError): string {
  if (error.code !== 'ERR_MITM_EVENT_LOG_FAILED') return error.message;
  const { cause } = error;
  const detail = cause instanceof Error ? cause.message : error.message;
  const isKey = cause instanceof Error && 'code' in cause && cause.code === 'key_unusable';
  return `${detail}: ${isKey ? 'its key has to be a file of at least 32 bytes that this user can read' : 'choose a path in a folder that can be written to'}`;
}

function oneLine(text: string): string {
  return text.replaceAll(/[\r\n]+\s*/gu, ' ');
}
