// What the pool knows of one key: the connections that wait for use, how many there are, and who waits for one.
import type { Http1Outbound } from '../http1/outbound.ts';
import type { AcquireRequest } from './acquire.ts';
import { WaitingLine } from './waiting-line.ts';

/** The connections of one key, but for those that are one client's alone. Nobody waits while one is idle. */
export class PoolHost {
  readonly place: string;
  readonly idle: Http1Outbound[];
  /** Connections that count: idle, busy, and being made. */
  open: number;
  /** Connections that carry a stream and count no more until it has ended. */
  streaming: number;
  /** The origin chose HTTP/1 on the connection that was made last. */
  isHttp1: boolean;
  readonly waiters: WaitingLine<AcquireRequest>;

  constructor(place: string) {
    this.place = place;
    this.idle = [];
    this.open = 0;
    this.streaming = 0;
    this.isHttp1 = false;
    this.waiters = new WaitingLine();
  }

  /** True when nothing is left of it. */
  get isOver(): boolean {
    return this.open === 0 && this.streaming === 0;
  }

  /** Takes a connection back whose stream has ended: false when there are as many as there may be. */
  countAgain(connection: Http1Outbound, limit: number): boolean {
    if (this.open >= limit) return false;
    this.streaming -= 1;
    this.open += 1;
    connection.isStreaming = false;
    return true;
  }
}
