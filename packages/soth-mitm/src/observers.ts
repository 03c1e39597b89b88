// Everything that watches a proxy from its start to its end: the program's own consumers and the event log. A reload can put
// another log in place; the end waits until all of it is written.
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';

import { errorText, type MitmConfig, MitmError } from 'mitm-core';
import {
  type EventBus,
  EventLog,
  EventLoopDelay,
  type EventSink,
  type Logger,
  type Metrics,
  noChange,
  type PreparedChange,
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
   * Opens what another configuration asks for. Put in place, it is over when the log before it is written.
   *
   * @throws MitmError `ERR_MITM_EVENT_LOG_FAILED` when a log can't be opened; nothing has changed then
   */
  async prepare({ eventLog: next }: MitmConfig): Promise<PreparedChange> {
    const current = this.#log;
    if (next === undefined)
      return current === undefined ? noChange : { ...noChange, apply: () => this.#end() };
    if (current !== undefined && current.config.path === next.path) return this.#prepareToGoOn(current, next);
    if (current !== undefined) refuseSharedFiles(current.config, next);
    const opened = await this.#open(next);
    return {
      apply: async () => {
        const before = this.#end();
        this.#begin(opened, next);
        await before;
      },
      discard: () => opened.close(),
    };
  }

  /** The log that is open goes on in its file. */
  async #prepareToGoOn(current: OpenLog, next: LogConfig): Promise<PreparedChange> {
    const { log } = current;
    const { apply, discard } = await explained(async () =>
      log.prepare({ indexPath: next.indexPath, chainKey: await keyOf(next) }),
    );
    return {
      apply: async () => {
        log.tune(next);
        this.#log = { ...current, config: next };
        await apply();
      },
      discard,
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
    return explained(async () =>
      EventLog.open({
        ...config,
        chainKey: await keyOf(config),
        onWriteError: (error) => logger.error({ err: error, path: config.path }, 'event log failed'),
      }),
    );
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
    const late = new Promise<void>((giveUp) => {
      timer = setTimeout(() => {
        logger.warn({ timeoutMs }, 'event consumer did not end in time');
        giveUp();
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

async function keyOf({ hmacKeyPath }: LogConfig): Promise<Uint8Array | undefined> {
  return hmacKeyPath === undefined ? undefined : readFile(hmacKeyPath);
}

/** Two logs are open while one takes the place of the other. @throws MitmError where they would write to one file */
function refuseSharedFiles(current: LogConfig, next: LogConfig): void {
  const taken = filesOf(current);
  for (const [name, path] of filesOf(next)) {
    const other = [...taken].find(([, file]) => file === path)?.[0];
    if (other === undefined) continue;
    throw new MitmError(
      'ERR_MITM_EVENT_LOG_FAILED',
      `eventLog.${name}: ${JSON.stringify(path)} is ${other === name ? 'still written to by' : `the ${other} of`} the log that is open: choose another file`,
    );
  }
}

function filesOf({ path, indexPath }: LogConfig): ReadonlyMap<'path' | 'indexPath', string> {
  return new Map([
    ['path', resolve(path)],
    ...(indexPath === undefined ? [] : [['indexPath', resolve(indexPath)] as const]),
  ]);
}

/** @throws MitmError `ERR_MITM_EVENT_LOG_FAILED` in place of what goes wrong with files */
async function explained<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new MitmError('ERR_MITM_EVENT_LOG_FAILED', errorText(error), { cause: error });
  }
}
