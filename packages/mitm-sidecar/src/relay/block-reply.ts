// The answer to a request that the handler blocks, and how its flow says so.
import type { BlockDecision } from 'mitm-core';
import type { Reply } from 'mitm-http';

/** What the client gets. */
export function blockReply({ status, body, headers }: BlockDecision): Reply {
  return { status, body, ...(headers === undefined ? {} : { headers }) };
}

/** The close detail of the flow. */
export function blockDetail({ reasonCode }: BlockDecision): string {
  return reasonCode === undefined ? 'blocked_by_handler' : `blocked_by_handler:${reasonCode}`;
}
