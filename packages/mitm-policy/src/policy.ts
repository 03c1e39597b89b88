// The question every flow is asked, intercept, tunnel or block, and the two engines that answer it from host lists. An
// engine answers at once, from the facts it is given, and the same facts always get the same answer.
import type { AddressClass } from './address-class.ts';
import { DestinationError, parseDestination, parseHostRule } from './destination.ts';
import { HostMatcher } from './host-matcher.ts';

/** What may happen to a flow: be read, be passed on unread, or be refused. */
export const flowActions = ['intercept', 'tunnel', 'block'] as const;
export type FlowAction = (typeof flowActions)[number];

/** The reasons that this package gives; an engine of yours may give others. */
export const policyReasons = [
  'default_intercept',
  'ignored_host',
  'blocked_host',
  'interception_scope_match',
  'passthrough_unlisted',
  'destination_not_allowed',
  'compat_override',
  'compat_override_force_tunnel',
  'sni_mismatch',
  'ip_literal',
  'private_target',
] as const;
export type PolicyReason = (typeof policyReasons)[number];

/** The local program that opened the connection, as far as it could be found out. */
export interface PolicyProcess {
  readonly pid: number;
  readonly exeName?: string | undefined;
  readonly exePath?: string | undefined;
  readonly bundleId?: string | undefined;
  readonly parentPid?: number | undefined;
}

/** Who the origin proved to be: its certificate, verified against the roots in force and the target's name. */
export interface UpstreamIdentity {
  /** The names and addresses that the certificate is for, as it lists them. */
  readonly names: readonly string[];
  /** SHA-256 of the certificate, in hexadecimal with colons. */
  readonly fingerprint256: string;
  /** Common name of the issuer; absent where it has none. */
  readonly issuer?: string | undefined;
}

/** What is known when a flow is judged. It is asked again when more becomes known. */
export interface PolicyInput {
  /** Canonical host: lower case, IPv6 without brackets. The name that is judged now. */
  readonly host: string;
  readonly port: number;
  /** What the connection was made for: the host of its CONNECT. Absent where there is no such connection. */
  readonly connectHost?: string | undefined;
  /** The authority that a request names, as `host:port`. */
  readonly authority?: string | undefined;
  /** The address that will be dialled first; only where the policy asks for it, or the target is an address. */
  readonly address?: string | undefined;
  /** The kind of that address: the one furthest from public where a name has several. */
  readonly addressClass?: AddressClass | undefined;
  /** The verified origin; only where the policy asks for it, and once TLS with the origin stands. */
  readonly upstreamIdentity?: UpstreamIdentity | undefined;
  /** Known for requests; absent for a CONNECT or a raw connection. */
  readonly scheme?: 'http' | 'https' | undefined;
  /** Path and query of a request; absent for a CONNECT or a raw connection. */
  readonly path?: string | undefined;
  readonly process?: PolicyProcess | undefined;
  /** Whose credentials the client gave to the proxy; absent where it has no users. */
  readonly user?: string | undefined;
  /** Server name of the ClientHello, canonical; absent before the hello was read. */
  readonly sni?: string | undefined;
  /** Protocols that the ClientHello offers, in its order. */
  readonly alpn?: readonly string[] | undefined;
  /** JA4 fingerprint of the ClientHello. */
  readonly ja4?: string | undefined;
}

/** A policy's answer. */
export interface Verdict {
  readonly action: FlowAction;
  /** A short stable code for events and logs, such as `blocked_host`. */
  readonly reason: string;
}

/** Facts that cost something to get: a policy that wants them says so. */
export const policyFacts = ['address', 'request', 'upstream_identity'] as const;
/** See {@link policyFacts}. */
export type PolicyFact = (typeof policyFacts)[number];

/** Decides about flows. `decide` is called on the path of the connection: it answers at once and does no I/O. */
export interface PolicyEngine {
  /**
   * What to find out before `decide` is asked, or to ask it about as well: `address` looks the target's name up first,
   * `request` judges every request inside intercepted connections, `upstream_identity` judges again when the origin's
   * certificate has been verified. None unless given.
   */
  readonly wants?: readonly PolicyFact[];
  decide(input: PolicyInput): Verdict;
}

export interface DefaultPolicyOptions {
  /** Hosts to tunnel; each is read by `parseHostRule`. */
  readonly ignoreHosts?: readonly string[] | undefined;
  /** Hosts to refuse; each is read by `parseHostRule`. */
  readonly blockedHosts?: readonly string[] | undefined;
}

export interface DestinationPolicyOptions extends DefaultPolicyOptions {
  /** What to intercept; each is read by `parseDestination`. At least one: everything is `*:*`. */
  readonly destinations: readonly string[];
  /** Whether hosts outside of all lists are tunnelled (true) or blocked (false, default). */
  readonly passthroughUnlisted?: boolean | undefined;
}

const verdicts = {
  intercepted: Object.freeze({ action: 'intercept', reason: 'default_intercept' }),
  ignored: Object.freeze({ action: 'tunnel', reason: 'ignored_host' }),
  blocked: Object.freeze({ action: 'block', reason: 'blocked_host' }),
  listed: Object.freeze({ action: 'intercept', reason: 'interception_scope_match' }),
  passed: Object.freeze({ action: 'tunnel', reason: 'passthrough_unlisted' }),
  refused: Object.freeze({ action: 'block', reason: 'destination_not_allowed' }),
} as const satisfies Record<string, { readonly action: FlowAction; readonly reason: PolicyReason }>;

class ExceptionLists {
  readonly #blocked: HostMatcher;
  readonly #ignored: HostMatcher;

  constructor(options: DefaultPolicyOptions) {
    this.#blocked = new HostMatcher((options.blockedHosts ?? []).map(parseHostRule));
    this.#ignored = new HostMatcher((options.ignoreHosts ?? []).map(parseHostRule));
  }

  verdict(input: PolicyInput): Verdict | undefined {
    if (this.#blocked.match(input.host, input.port) !== undefined) return verdicts.blocked;
    if (this.#ignored.match(input.host, input.port) !== undefined) return verdicts.ignored;
    return undefined;
  }
}

/** Intercepts everything but what is listed: blocked hosts go before ignored hosts. */
export class DefaultPolicy implements PolicyEngine {
  readonly #exceptions: ExceptionLists;

  /** Parses the lists once. Throws `DestinationError` for the first entry that cannot be read. */
  constructor(options: DefaultPolicyOptions = {}) {
    this.#exceptions = new ExceptionLists(options);
  }

  decide(input: PolicyInput): Verdict {
    return this.#exceptions.verdict(input) ?? verdicts.intercepted;
  }
}

/** Intercepts what is listed. Blocked hosts go before ignored hosts, and those before destinations. */
export class DestinationPolicy implements PolicyEngine {
  readonly #exceptions: ExceptionLists;
  readonly #destinations: HostMatcher;
  readonly #unlisted: Verdict;

  /** Parses the lists once. Throws `DestinationError` for the first unreadable entry and for no destinations at all. */
  constructor(options: DestinationPolicyOptions) {
    if (options.destinations.length === 0) {
      throw new DestinationError('empty_list', '', 'no destination is listed; "*:*" intercepts everything');
    }
    this.#exceptions = new ExceptionLists(options);
    this.#destinations = new HostMatcher(options.destinations.map(parseDestination));
    this.#unlisted = options.passthroughUnlisted === true ? verdicts.passed : verdicts.refused;
  }

  decide(input: PolicyInput): Verdict {
    const exception = this.#exceptions.verdict(input);
    if (exception !== undefined) return exception;
    return this.#destinations.match(input.host, input.port) === undefined ? this.#unlisted : verdicts.listed;
  }
}

const strictness = { block: 2, intercept: 1, tunnel: 0 } as const satisfies Record<FlowAction, number>;

/** The stricter of two verdicts: block before intercept before tunnel; the first where they are equal. */
export function stricterVerdict<V extends Verdict>(a: V, b: V): V {
  return strictness[b.action] > strictness[a.action] ? b : a;
}
