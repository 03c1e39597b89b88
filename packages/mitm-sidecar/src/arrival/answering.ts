// How a client that asked for a connection is told what became of it, in the protocol in which it asked.
import type { Failure } from 'mitm-core';
import { connectEstablishedHead, writeReply } from 'mitm-http';

export interface Answering {
  /** What says that the connection stands; empty where nobody waits for it. One character a byte. */
  readonly granted: string;
  /**
   * What says that it does not; undefined where nothing can be said.
   *
   * @param hasWritten something has been written to the client already
   */
  refusal(failure: Failure, hasWritten: boolean): Buffer | undefined;
}

/** Clients of HTTP/1: an answer with a status, unless one is under way. */
export const httpAnswering: Answering = Object.freeze({
  granted: connectEstablishedHead,
  refusal: ({ reply }: Failure, hasWritten: boolean) =>
    reply === undefined || hasWritten ? undefined : writeReply(reply),
});

/** Clients that have been told all there is to tell. */
export const noAnswering: Answering = Object.freeze({ granted: '', refusal: () => undefined });

const alerts = { blocked: 49, route_planner_failed: 112, other: 80 } as const;

/**
 * Clients that speak TLS to whom they take for their origin: a fatal alert (RFC 8446 §6.2), `access_denied` for what policy
 * refuses, `unrecognized_name` for a name that leads nowhere, else `internal_error`.
 */
export const tlsAnswering: Answering = Object.freeze({
  granted: '',
  refusal: ({ reason }: Failure, hasWritten: boolean) => {
    if (hasWritten) return undefined;
    const alert = reason === 'blocked' || reason === 'route_planner_failed' ? alerts[reason] : alerts.other;
    return Buffer.from([21, 3, 3, 0, 2, 2, alert]);
  },
});
