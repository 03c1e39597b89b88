// What all flows of one proxy share: the configuration in force, the rules, the bus, the counters and the ids. A reload
// replaces the configuration and the rules as one; flows keep what they were born with.
import {
  type Authority,
  DecoderRegistry,
  type FramedMessage,
  type FrameParser,
  FramerRegistry,
} from 'mitm-http';
import {
  type CloseReason,
  engineFlowId,
  type EngineEventKind,
  type EventBus,
  type EventPayloads,
  type FlowContext,
  type Logger,
  type Metrics,
  type ProxyMetrics,
} from 'mitm-observe';
import {
  type Decision,
  DestinationPolicy,
  Overrides,
  type PolicyEngine,
  type PolicyFact,
  type PolicyInput,
  TargetChecks,
} from 'mitm-policy';

import { ByteBudget, FlowPermits } from './budget.ts';
import { type MitmConfig, planReload } from './config/index.ts';
import type { Connection } from './connection.ts';
import { decide, decideBoth, type FlowRules, type Rules, type Settings } from './decide.ts';
import { ReloadError } from './errors.ts';
import { Flow, type FlowInit } from './flow.ts';
import { HandlerRunner } from './handler-runner.ts';
import type { Awaitable, InterceptHandler } from './handler.ts';
import { type Route, RoutePlanner } from './route.ts';
import { runtimeSnapshot, type RuntimeSnapshot } from './runtime-snapshot.ts';

export interface EngineOptions {
  readonly config: MitmConfig;
  readonly handler: InterceptHandler;
  readonly bus: EventBus;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Judges in place of the policy that the configuration describes. */
  readonly policy?: PolicyEngine | undefined;
  /** Which bodies are shown in chunks, and how they are cut; the built-in ones unless given. */
  readonly framers?: FramerRegistry | undefined;
}

/** The context of what belongs to no flow. */
const engineContext: FlowContext = Object.freeze({
  flowId: engineFlowId,
  clientAddr: '<none>',
  serverHost: '<none>',
  serverPort: 0,
  protocol: 'tunnel',
});

export class Engine {
  readonly bus: EventBus;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly handler: HandlerRunner;
  readonly permits: FlowPermits;
  readonly budget: ByteBudget;
  readonly framers: FramerRegistry;
  /** Which stages bodies and streams go through; what failed is told by them. */
  readonly decoders: DecoderRegistry;
  readonly #customPolicy: PolicyEngine | undefined;
  #settings: Settings;
  #nextFlowId: number;
  #reportCount: number;

  constructor(options: EngineOptions) {
    this.bus = options.bus;
    this.metrics = options.metrics;
    this.logger = options.logger;
    this.handler = new HandlerRunner(options.handler, options.metrics, options.logger);
    this.permits = new FlowPermits(() => this.config.maxConcurrentFlows);
    this.budget = new ByteBudget(
      () => this.config.maxInFlightBytes,
      () => this.metrics.inFlightDenied(),
    );
    this.framers = options.framers ?? new FramerRegistry();
    this.decoders = new DecoderRegistry();
    this.#customPolicy = options.policy;
    this.#settings = { config: options.config, rules: rulesOf(options.config, options.policy) };
    this.#nextFlowId = 1;
    this.#reportCount = 0;
    this.metrics.readFrom('currentInFlightBytes', () => this.budget.held);
    this.metrics.readFrom('inFlightBytesWatermark', () => this.budget.watermark);
  }

  /** True when the policy is the caller's own: what it reads of its input is not known. */
  get hasOwnPolicy(): boolean {
    return this.#customPolicy !== undefined;
  }

  /** The configuration that new flows get. */
  get config(): MitmConfig {
    return this.#settings.config;
  }

  /** The configuration and the rules that new flows get. */
  get settings(): Settings {
    return this.#settings;
  }

  openFlow(init: FlowInit): Flow {
    const flow = new Flow(this.#nextFlowId, this, init);
    this.#nextFlowId += 1;
    this.metrics.flowOpened();
    return flow;
  }

  /** Gives a client that is refused at the door a flow of its own, which is over at once: the refusal is its only event. */
  refuse(connection: Connection, reason: CloseReason, detail?: string): void {
    this.openFlow({ connection, isServed: false }).close(reason, detail);
  }

  /** Reports a fact that belongs to no flow. */
  report<K extends EngineEventKind>(kind: K, payload: EventPayloads[K]): void {
    this.#reportCount += 1;
    this.bus.emit(kind, engineContext, this.#reportCount, payload);
  }

  /** The parser for a body that is to be shown in chunks. A factory of the user's own may throw: the body is shown in none then. */
  framerFor(message: FramedMessage, maxBytes: number): FrameParser | undefined {
    try {
      return this.framers.select(message, maxBytes);
    } catch (error) {
      this.logger.warn({ err: error, path: message.path }, 'framer could not be made');
      return undefined;
    }
  }

  /** What the policy has asked to be told besides what costs nothing. */
  policyWants(fact: PolicyFact): boolean {
    return this.#settings.rules.policy.wants?.includes(fact) ?? false;
  }

  /**
   * Plans the way of a flow to its target, by the rules it was born with and after asking the handler where it has a say.
   *
   * @throws Failure `route_planner_failed` when there is none, or what a failing handler leads to
   */
  planRoute(flow: Flow, target: Authority): Awaitable<Route> {
    const { routes } = flow.rules;
    if (!this.handler.choosesRoutes) return routes.plan(target);
    return this.handler
      .resolveRoute(flow, target, (name) => routes.hasWay(name))
      .then((choice) => routes.plan(target, choice));
  }

  /**
   * Judges a target; `other` is a second name for it that turned up, and can only make the verdict stricter.
   *
   * @param rules those in force now, unless given
   */
  decide(
    input: PolicyInput,
    other?: { readonly host: string; readonly port: number },
    rules: Rules = this.#settings.rules,
  ): Decision {
    const onPolicyError = (error: string): void => {
      this.logger.error({ host: input.host, error }, 'policy engine failed');
    };
    return other === undefined
      ? decide(rules, input, onPolicyError)
      : decideBoth(rules, input, other, onPolicyError);
  }

  /**
   * Puts a new configuration in force for new flows, all of it or nothing.
   *
   * @returns the dotted paths that changed
   * @throws MitmError `ERR_MITM_RELOAD_REQUIRES_RESTART` naming the keys that can't change while running
   */
  reload(next: MitmConfig): readonly string[] {
    const plan = planReload(this.config, next);
    if (plan.needsRestart.length > 0) throw new ReloadError(plan.needsRestart);
    this.#settings = { config: next, rules: rulesOf(next, this.#customPolicy) };
    return plan.changed;
  }

  /** What is held now, against what may be, and how often a limit was met. */
  runtimeSnapshot(): RuntimeSnapshot {
    return runtimeSnapshot(this.permits, this.budget, this.metrics.snapshot());
  }

  /** All counters and gauges, at this moment. */
  snapshot(): ProxyMetrics {
    return this.metrics.snapshot();
  }
}

function rulesOf(config: MitmConfig, policy: PolicyEngine | undefined): FlowRules {
  return {
    checks: new TargetChecks(config.interception),
    routes: new RoutePlanner(config),
    policy: policy ?? new DestinationPolicy(config.interception),
    overrides: new Overrides(config.compatibilityOverrides),
  };
}
