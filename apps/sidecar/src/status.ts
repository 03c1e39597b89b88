// The status contract: records for whoever automates the program, one JSON object per line with keys in a fixed order.
// Names, classes and codes never change; keys may join at the end.

/** Every way to end, with the exit code of each. */
export const exitCodes = {
  ok: 0,
  config_invalid: 20,
  event_sink_init_failed: 21,
  sidecar_init_failed: 22,
  runtime_failed: 23,
  ca_trust_failed: 24,
  ca_not_trusted: 25,
  log_not_intact: 26,
  log_unreadable: 27,
} as const;
export type ExitClass = keyof typeof exitCodes;

const statusStages = ['startup', 'running', 'draining', 'reloaded', 'exit'] as const;
type StatusStage = (typeof statusStages)[number];
type StatusOutcome = 'in_progress' | 'ready' | 'ok' | 'error';

const statusSchema = 'soth-mitm-automation-status-v1';
/** Begins each status line on standard error. */
export const statusPrefix = 'SOTH_MITM_STATUS\t';

export interface StatusRecord {
  readonly schema: typeof statusSchema;
  readonly stage: StatusStage;
  readonly outcome: StatusOutcome;
  /** 0 until exit. */
  readonly exit_code: number;
  /** `ok` until exit. */
  readonly exit_class: ExitClass;
  /** Milliseconds since 1970. */
  readonly unix_ms: number;
  readonly detail: string | null;
  /** On `running` only. */
  readonly listen_addr?: string;
  /** On `running` only: the port in use, also when 0 was asked for. */
  readonly listen_port?: number;
}

/** What happened, as the program says it. */
export type StatusFact =
  | { readonly stage: 'startup' }
  | {
      readonly stage: 'running';
      readonly host: string;
      readonly port: number;
      /** Everywhere it listens, as text; `host` and `port` alone unless given. */
      readonly places?: readonly string[];
    }
  | { readonly stage: 'draining'; readonly detail: string }
  | { readonly stage: 'reloaded'; readonly outcome: 'ok' | 'error'; readonly detail: string }
  | { readonly stage: 'exit'; readonly exitClass: ExitClass; readonly detail: string | null };

/** The record of a fact. */
export function statusRecord(fact: StatusFact, unixMs: number): StatusRecord {
  const exitClass = fact.stage === 'exit' ? fact.exitClass : 'ok';
  const base = {
    schema: statusSchema,
    stage: fact.stage,
    outcome: outcomeOf(fact),
    exit_code: exitCodes[exitClass],
    exit_class: exitClass,
    unix_ms: unixMs,
  } as const;
  if (fact.stage === 'startup') return { ...base, detail: null };
  if (fact.stage !== 'running') return { ...base, detail: fact.detail };
  const { host, port, places = [authorityText(host, port)] } = fact;
  return { ...base, detail: places.join(', '), listen_addr: host, listen_port: port };
}

function outcomeOf(fact: StatusFact): StatusOutcome {
  switch (fact.stage) {
    case 'startup':
    case 'draining':
      return 'in_progress';
    case 'running':
      return 'ready';
    case 'reloaded':
      return fact.outcome;
    case 'exit':
      return fact.exitClass === 'ok' ? 'ok' : 'error';
  }
}

/** `host:port`, with IPv6 in brackets. */
export function authorityText(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
