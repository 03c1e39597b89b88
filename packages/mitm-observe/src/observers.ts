// Everything that watches a proxy from its start to its end: the program's own consumers and the event log. A reload can put
// another log in place; the end waits until all of it is written.
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';

import type { EventBus } from './event-bus.ts';
import { EventLogError, openStep } from './event-log-error.ts';
import { EventLog, type EventLogOptions } from './event-log.ts';
import { EventLoopDelay } from './event-loop-delay.ts';
import type { EventSink } from './events.ts';
import type { Logger } from './logger.ts';
import type { Metrics } from './metrics.ts';
import { noChange, type PreparedChange } from './prepared-change.ts';

/** An event log as a configuration has it: its key is in a file. */
export interface EventLogSettings extends Omit<EventLogOptions, 'chainKey' | 'onWriteError'> {
  /** A file of at least 32 bytes. With it, a chain of digests is written beside the log. */
  readonly hmacKeyPath?: string | undefined;
}

/** What is watched, and what is told of the watching. */
export interface Observed {
  readonly bus: EventBus;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/** A log that is written to. */
interface OpenLog {
  readonly log: EventLog;
  readonly settings: EventLogSettings;
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
   * @param eventLog the log that is to be written, if any
   * @param consumers subscribed to the bus before the log, in this order
   * @throws {EventLogError} when the log can't be opened
   */
  static async open(
    eventLog: EventLogSettings | undefined,
    observed: Observed,
    consumers: readonly EventSink[] = [],
  ): Promise<Observers> {
    const observers = new Observers(observed, consumers);
    for (const consumer of consumers) observed.bus.subscribe(consumer);
    if (eventLog !== undefined) observers.#begin(await observers.#open(eventLog), eventLog);
    observers.#tellMetrics();
    return observers;
  }

  /**
   * Opens another log, or the same one with other settings, or none. Put in place, it is over when the log before it is written.
   *
   * @throws {EventLogError} when a log can't be opened; nothing has changed then
   */
  async prepare(next: EventLogSettings | undefined): Promise<PreparedChange> {
    const current = this.#log;
    if (next === undefined)
      return current === undefined ? noChange : { ...noChange, apply: () => this.#end() };
    if (current !== undefined && current.settings.path === next.path)
      return this.#prepareToGoOn(current, next);
    if (current !== undefined) refuseSharedFiles(current.settings, next);
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
  async #prepareToGoOn(current: OpenLog, next: EventLogSettings): Promise<PreparedChange> {
    const { log } = current;
    const { apply, discard } = await log.prepare({
      indexPath: next.indexPath,
      chainKey: await keyOf(next),
    });
    return {
      apply: async () => {
        log.tune(next);
        this.#log = { ...current, settings: next };
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

  async #open(settings: EventLogSettings): Promise<EventLog> {
    const { logger } = this.#observed;
    return EventLog.open({
      ...settings,
      chainKey: await keyOf(settings),
      onWriteError: (error) => logger.error({ err: error, path: settings.path }, 'event log failed'),
    });
  }

  #begin(log: EventLog, settings: EventLogSettings): void {
    this.#log = { log, settings, unsubscribe: this.#observed.bus.subscribe(log) };
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

async function keyOf({ hmacKeyPath }: EventLogSettings): Promise<Uint8Array | undefined> {
  return hmacKeyPath === undefined
    ? undefined
    : openStep(hmacKeyPath, () => readFile(hmacKeyPath), 'key_unusable');
}

/** Two logs are open while one takes the place of the other. @throws {EventLogError} where they would write to one file */
function refuseSharedFiles(current: EventLogSettings, next: EventLogSettings): void {
  const taken = filesOf(current);
  for (const [name, path] of filesOf(next)) {
    const other = [...taken].find(([, file]) => file === path)?.[0];
    if (other === undefined) continue;
    throw new EventLogError(
      'path_shared',
      path,
      `eventLog.${name}: ${JSON.stringify(path)} is ${other === name ? 'still written to by' : `the ${other} of`} the log that is open: choose another file`,
    );
  }
}

function filesOf({ path, indexPath }: EventLogSettings): ReadonlyMap<'path' | 'indexPath', string> {
  return new Map([
    ['path', resolve(path)],
    ...(indexPath === undefined ? [] : [['indexPath', resolve(indexPath)] as const]),
  ]);
}
