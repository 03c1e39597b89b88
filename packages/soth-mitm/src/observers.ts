// Everything that watches a proxy from its start to its end: the program's own consumers and the event log. A reload can put
// another log in place; the end waits until all of it is written.
import { readFile } from 'node:fs/promises';

import { errorText, type MitmConfig, MitmError } from 'mitm-core';
import {
  type EventBus,
  EventLog,
  EventLoopDelay,
  type EventSink,
  type Logger,
  type Metrics,
} from 'mitm-observe';

type LogConfig = NonNullable<MitmConfig['eventLog']>;

export interface Observed {
  readonly bus: EventBus;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/** A log that is written to. */
interface OpenLog {
  readonly log: EventLog;
  readonly config: LogConfig;
  readonly unsubscribe: () => void;
}

/** What the logs of a reloaded proxy counted before the one that is open. */
interface PastLogs {
  droppedCount: number;
  writeErrorCount: number;
}

export class Observers {
  readonly #observed: Observed;
  readonly #consumers: readonly EventSink[];
  readonly #loopDelay: EventLoopDelay;
  readonly #past: PastLogs;
  #log: OpenLog | undefined;

  private constructor(observed: Observed, consumers: readonly EventSink[]) {
    this.#observed = observed;
    this.#consumers = consumers;
    this.#loopDelay = new EventLoopDelay();
    this.#past = { droppedCount: 0, writeErrorCount: 0 };
    this.#log = undefined;
  }

  /**
   * Begins to watch, before anything happens.
   *
   * @throws MitmError `ERR_MITM_EVENT_LOG_FAILED` when the log can't be opened
   */
  static async open(
    config: MitmConfig,
    observed: Observed,
    consumers: readonly EventSink[] = [],
  ): Promise<Observers> {
    const observers = new Observers(observed, consumers);
    for (const consumer of consumers) observed.bus.subscribe(consumer);
    if (config.eventLog !== undefined)
      observers.#begin(await observers.#open(config.eventLog), config.eventLog);
    observers.#tellMetrics();
    return observers;
  }

  /**
   * Opens what another configuration asks for.
   *
   * @returns puts it in place; resolves when the log before it is written
   * @throws MitmError `ERR_MITM_EVENT_LOG_FAILED` when a log can't be opened; nothing has changed then
   */
  async prepare({ eventLog: next }: MitmConfig): Promise<() => Promise<void>> {
    const current = this.#log;
    if (next !== undefined && current?.config.path === next.path) {
      return async () => {
        current.log.tune(next);
        this.#log = { ...current, config: next };
      };
    }
    const opened = next === undefined ? undefined : await this.#open(next);
    return async () => {
      const before = this.#end();
      if (opened !== undefined && next !== undefined) this.#begin(opened, next);
      await before;
    };
  }

  /** Writes what waits and closes it. What a consumer throws is logged, and who takes longer than this is not waited for. */
  async close(timeoutMs: number): Promise<void> {
    const ends = this.#consumers.map((consumer) => this.#endOf(consumer, timeoutMs));
    await Promise.all([...ends, this.#end()]);
    this.#loopDelay.close();
  }

  async #open(config: LogConfig): Promise<EventLog> {
    const { logger } = this.#observed;
    try {
      const { hmacKeyPath } = config;
      return await EventLog.open({
        ...config,
        chainKey: hmacKeyPath === undefined ? undefined : await readFile(hmacKeyPath),
        onWriteError: (error) => logger.error({ err: error, path: config.path }, 'event log failed'),
      });
    } catch (error) {
      throw new MitmError('ERR_MITM_EVENT_LOG_FAILED', errorText(error), { cause: error });
    }
  }

  #begin(log: EventLog, config: LogConfig): void {
    this.#log = { log, config, unsubscribe: this.#observed.bus.subscribe(log) };
  }

  async #end(): Promise<void> {
    if (this.#log === undefined) return;
    const { log, unsubscribe } = this.#log;
    unsubscribe();
    this.#log = undefined;
    await log.close();
    this.#past.droppedCount += log.droppedCount;
    this.#past.writeErrorCount += log.writeErrorCount;
  }

  async #endOf(consumer: EventSink, timeoutMs: number): Promise<void> {
    const { logger } = this.#observed;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        logger.warn({ timeoutMs }, 'event consumer did not end in time');
        resolve();
      }, timeoutMs);
    });
    const ended = async (): Promise<void> => {
      try {
        await consumer.flush?.();
        await consumer.close?.();
      } catch (error) {
        logger.error({ err: error }, 'event consumer failed at its end');
      }
    };
    await Promise.race([ended(), late]);
    clearTimeout(timer);
  }

  #tellMetrics(): void {
    const { metrics } = this.#observed;
    metrics.readFrom('eventQueueDepth', () => this.#log?.log.queueDepth ?? 0);
    metrics.readFrom('eventQueueDepthWatermark', () => this.#log?.log.queueDepthWatermark ?? 0);
    metrics.readFrom(
      'eventsDroppedCount',
      () => this.#past.droppedCount + (this.#log?.log.droppedCount ?? 0),
    );
    metrics.readFrom(
      'eventLogWriteErrorCount',
      () => this.#past.writeErrorCount + (this.#log?.log.writeErrorCount ?? 0),
    );
    metrics.readFrom('eventLoopDelayMeanMs', () => this.#loopDelay.read().meanMs);
    metrics.readFrom('eventLoopDelayP99Ms', () => this.#loopDelay.read().p99Ms);
    metrics.readFrom('eventLoopDelayMaxMs', () => this.#loopDelay.read().maxMs);
  }
}
