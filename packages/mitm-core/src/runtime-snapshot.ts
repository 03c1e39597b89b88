// What a proxy holds at one moment, and how often a limit was met: the figures an operator looks at to choose the limits.
import type { ProxyMetrics } from 'mitm-observe';

import type { ByteBudget, FlowPermits } from './budget.ts';

/** Figures that are those of the metrics. */
type TakenOver = Pick<
  ProxyMetrics,
  | 'backpressureActivationCount'
  | 'budgetDenialCount'
  | 'flowPermitDenialCount'
  | 'inFlightBudgetDenialCount'
  | 'decoderFailureCount'
  | 'idleTimeoutCount'
  | 'streamStageTimeoutCount'
  | 'stuckFlowCount'
  | 'flowCount'
  | 'flowDurationTotalMs'
  | 'flowDurationMaxMs'
  | 'eventQueueDepth'
  | 'eventQueueDepthWatermark'
>;

/** What is held, against what may be. Counts are since the start; durations are in milliseconds. */
export interface RuntimeSnapshot extends TakenOver {
  /** Client connections that are being served; requests and streams within them do not count. */
  readonly activeFlows: number;
  /** The most of them at once. */
  readonly maxActiveFlows: number;
  /** `maxConcurrentFlows` as it is in force. */
  readonly flowCapacity: number;
  /** Bytes in buffers and copies of ours. */
  readonly currentInFlightBytes: number;
  /** The most of them at once. */
  readonly inFlightBytesWatermark: number;
  /** `maxInFlightBytes` as it is in force. */
  readonly inFlightBytesCapacity: number;
}

/** The figures as they are now; what is counted later does not change them. */
export function runtimeSnapshot(
  permits: FlowPermits,
  budget: ByteBudget,
  metrics: ProxyMetrics,
): RuntimeSnapshot {
  const counts: TakenOver = {
    backpressureActivationCount: metrics.backpressureActivationCount,
    budgetDenialCount: metrics.budgetDenialCount,
    flowPermitDenialCount: metrics.flowPermitDenialCount,
    inFlightBudgetDenialCount: metrics.inFlightBudgetDenialCount,
    decoderFailureCount: metrics.decoderFailureCount,
    idleTimeoutCount: metrics.idleTimeoutCount,
    streamStageTimeoutCount: metrics.streamStageTimeoutCount,
    stuckFlowCount: metrics.stuckFlowCount,
    flowCount: metrics.flowCount,
    flowDurationTotalMs: metrics.flowDurationTotalMs,
    flowDurationMaxMs: metrics.flowDurationMaxMs,
    eventQueueDepth: metrics.eventQueueDepth,
    eventQueueDepthWatermark: metrics.eventQueueDepthWatermark,
  };
  return Object.freeze({
    ...counts,
    activeFlows: permits.taken,
    maxActiveFlows: permits.watermark,
    flowCapacity: permits.capacity(),
    currentInFlightBytes: budget.held,
    inFlightBytesWatermark: budget.watermark,
    inFlightBytesCapacity: budget.capacity(),
  });
}
