// Built-in doubts about a target, whatever the lists say of it: a server name that is not the host asked for, an address in
// a name's place, and an address that only somebody nearer than the client should reach.
import { hostKind } from 'mitm-http';

import { type AddressClass, addressClassOf } from './address-class.ts';
import { parseHostRule } from './destination.ts';
import { HostMatcher } from './host-matcher.ts';
import type { PolicyInput } from './policy.ts';

/** What a doubt leads to: nothing, a word in the events, or a refusal. */
export const checkModes = ['off', 'warn', 'block'] as const;
/** See {@link checkModes}. */
export type CheckMode = (typeof checkModes)[number];

/** The doubts, in the order in which facts about a target arrive. */
export const checkNames = ['ip_literal', 'private_target', 'sni_mismatch'] as const;
/** See {@link checkNames}. */
export type CheckName = (typeof checkNames)[number];

export interface TargetChecksOptions {
  /** The server name of a ClientHello is not the host that was asked for. */
  readonly sniCheck: CheckMode;
  /** The target is an IP address. */
  readonly ipLiteralCheck: CheckMode;
  /** The address of the target is of one of `privateClasses`. */
  readonly privateTargetCheck: CheckMode;
  readonly privateClasses: readonly AddressClass[];
  /** Targets that may have such an address; each is read by `parseHostRule`. */
  readonly allowedPrivateTargets: readonly string[];
}

/** What was found; nothing found is no result. */
export interface CheckResult {
  readonly findings: readonly CheckName[];
  /** The first of them that refuses. */
  readonly blockedBy: CheckName | undefined;
}

/** The checks of one configuration. */
export class TargetChecks {
  readonly #modes: Readonly<Record<CheckName, CheckMode>>;
  readonly #privateClasses: ReadonlySet<AddressClass>;
  readonly #allowed: HostMatcher;
  readonly #isOff: boolean;

  /** Throws `DestinationError` for the first allowed target that cannot be read. */
  constructor(options: TargetChecksOptions) {
    this.#modes = {
      ip_literal: options.ipLiteralCheck,
      private_target: options.privateTargetCheck,
      sni_mismatch: options.sniCheck,
    };
    this.#privateClasses = new Set(options.privateClasses);
    this.#allowed = new HostMatcher(options.allowedPrivateTargets.map(parseHostRule));
    this.#isOff = checkNames.every((name) => this.#modes[name] === 'off');
  }

  /** How an address that a target turns out to have is taken. */
  get privateTargetMode(): CheckMode {
    return this.#modes.private_target;
  }

  /** What there is to say about these facts. */
  judge(input: PolicyInput): CheckResult | undefined {
    if (this.#isOff) return undefined;
    const findings = checkNames.filter((name) => this.#modes[name] !== 'off' && this.#finds(name, input));
    if (findings.length === 0) return undefined;
    return { findings, blockedBy: findings.find((name) => this.#modes[name] === 'block') };
  }

  /** Whether a target must not have an address of this kind. */
  isPrivate(target: { readonly host: string; readonly port: number }, kind: AddressClass): boolean {
    return this.#privateClasses.has(kind) && this.#allowed.match(target.host, target.port) === undefined;
  }

  #finds(name: CheckName, input: PolicyInput): boolean {
    switch (name) {
      case 'ip_literal':
        return hostKind(input.host) !== 'name';
      case 'private_target': {
        const kind = input.addressClass ?? addressClassOf(input.host);
        return kind !== undefined && this.isPrivate(input, kind);
      }
      case 'sni_mismatch':
        return input.sni !== undefined && input.sni !== (input.connectHost ?? input.host);
    }
  }
}
