// The public face of mitm-observe: named exports only.
export { closeReasonMeanings, closeReasons, type CloseReason } from './close-reason.ts';
export { EventBus, type EventBusOptions, type EventClock, type EventListener } from './event-bus.ts';
export {
  EventLog,
  EventLogError,
  eventLogErrorCodes,
  type EventLogErrorCode,
  type EventLogOptions,
} from './event-log.ts';
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
  type EventSink,
  type FlowContext,
  type LifecycleKind,
  type MitmEvent,
  type TlsPeer,
} from './events.ts';
export { asConnectionId, asFlowId, type ConnectionId, type FlowId } from './ids.ts';
export {
  createLogger,
  logLevels,
  silentLogger,
  type Logger,
  type LoggerOptions,
  type LogLevel,
  type LogMethod,
} from './logger.ts';
export {
  metricDescriptions,
  Metrics,
  processLookupOutcomes,
  type CountName,
  type ProcessLookupOutcome,
  type ProxyMetrics,
} from './metrics.ts';
export { EventRecorder, type EventRecorderOptions } from './recorder.ts';
export {
  TlsDiagnostics,
  tlsFailurePayload,
  type TlsDiagnosticsOptions,
  type TlsDiagnosticsSnapshot,
  type TlsFailureCounts,
  type TlsFailureFacts,
  type TlsFailureRecord,
  type TlsHostDiagnostics,
} from './tls-diagnostics.ts';
