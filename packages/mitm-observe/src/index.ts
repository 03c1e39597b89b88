// The public face of mitm-observe: named exports only.
export { closeReasonMeanings, closeReasons, type CloseReason } from './close-reason.ts';
export { EventBus, type EventBusOptions, type EventClock, type EventListener } from './event-bus.ts';
export { durationBoundsMs, type DurationSnapshot } from './duration-histogram.ts';
export { EventLogError, eventLogErrorCodes, type EventLogErrorCode } from './event-log-error.ts';
export { EventLog, type EventLogOptions, type EventLogTuning } from './event-log.ts';
export { EventLoopDelay, type LoopDelay } from './event-loop-delay.ts';
export {
  deterministicRecord,
  eventLogSchema,
  type EventRecord,
  type EventRecordOptions,
} from './event-record.ts';
export {
  chunkKinds,
  eventKinds,
  eventTable,
  isChunkKind,
  isEventKind,
  lifecycleKinds,
  type ChunkKind,
  type EventDirection,
  type EventHeader,
  type EventKind,
  type EventPayloads,
  type EngineEventKind,
  type EventSink,
  type FlowContext,
  type LifecycleKind,
  type MitmEvent,
} from './events.ts';
export type { SniRelation, TlsPeer } from './tls-event-fields.ts';
export { asConnectionId, asFlowId, type ConnectionId, engineFlowId, type FlowId } from './ids.ts';
export {
  createLogger,
  logLevels,
  silentLogger,
  type Logger,
  type LoggerOptions,
  type LogLevel,
  type LogMethod,
} from './logger.ts';
export type { LogFilesOptions } from './log-files.ts';
export {
  EventLogReader,
  type LogReaderOptions,
  rebuildEventLogIndex,
  type RebuiltIndex,
  type RecordRange,
} from './log-reader.ts';
export {
  logFaultKinds,
  type LogFault,
  type LogFaultKind,
  type LogVerdict,
  verifyEventLog,
} from './log-verify.ts';
export {
  durationDescriptions,
  metricDescriptions,
  Metrics,
  processLookupOutcomes,
  type CountName,
  type DurationName,
  type ProcessLookupOutcome,
  type ProxyMetrics,
} from './metrics.ts';
export {
  prometheusContentType,
  prometheusGroupOf,
  prometheusHistogramOf,
  prometheusMetricOf,
  prometheusText,
  type PrometheusMetric,
} from './prometheus.ts';
export { type EventLogSettings, type Observed, Observers } from './observers.ts';
export { noChange, prepareAll, type PreparedChange } from './prepared-change.ts';
export { parseEventRecord } from './record-parser.ts';
export { EventRecorder, type EventRecorderOptions } from './recorder.ts';
export { redactedText, type RedactionLevel, redactionLevels } from './redaction.ts';
export { eventOfRecord, replayEvents } from './replay.ts';
export {
  TlsDiagnostics,
  type TlsDiagnosticsOptions,
  type TlsDiagnosticsSnapshot,
  type TlsFailureCounts,
  type TlsFailureRecord,
  type TlsHostDiagnostics,
} from './tls-diagnostics.ts';
export { tlsFailurePayload, tlsProvider, type TlsFailureFacts } from './tls-failure-payload.ts';
