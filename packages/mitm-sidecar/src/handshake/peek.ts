// Waits for whichever side of an accepted CONNECT speaks first, and says what it speaks. Nothing is consumed: whoever
// serves the connection reads the same bytes again.
import { Failure } from 'mitm-core';
import { looksLikeTls } from 'mitm-tls';

import { gather, type Gathered } from '../gather.ts';
import type { Wire } from '../wire.ts';
import { beginningRecogniser, type ClientBeginning, settingsIn } from './first-bytes.ts';

export interface PeekOptions {
  /** Time for the whole beginning, in milliseconds. */
  readonly timeoutMs: number;
  readonly maxBytes: number;
}

/** How the connection begins; `upstream_first` when the origin spoke before the client did. */
export type Beginning = ClientBeginning | { readonly kind: 'upstream_first' };

/**
 * Reads how a connection begins.
 *
 * @param upstream watched beside the client for an origin that greets first; undefined when the origin is known to wait
 * @throws Failure `client_aborted` when the client leaves before it said what it speaks, `tls_handshake_failed` when its
 *   hello can't be read, is cut short or stalls, `stream_stage_timeout` when nobody says enough in time
 */
export async function peekBeginning(
  client: Wire,
  upstream: Wire | undefined,
  options: PeekOptions,
): Promise<Beginning> {
  const recognise = beginningRecogniser({ maxHelloBytes: options.maxBytes, maxLineBytes: options.maxBytes });
  let isTls = false;
  const fromClient = gather(client, {
    recognise: (bytes) => {
      isTls = looksLikeTls(bytes) === true;
      return recognise(bytes);
    },
    timeoutMs: options.timeoutMs,
    timeStarts: 'now',
  });
  const heardFromClient = async (): Promise<ClientBeginning> =>
    beginningOf(await fromClient.result, isTls, options);
  if (upstream === undefined) return heardFromClient();
  const fromUpstream = gather(upstream, {
    recognise: foreignGreeting,
    timeoutMs: 0,
    timeStarts: 'now',
  });
  const first = await Promise.race([
    fromClient.result.then(() => 'client' as const),
    fromUpstream.result.then(({ kind }) => (kind === 'found' ? ('upstream' as const) : ('nobody' as const))),
  ]);
  if (first === 'upstream') {
    fromClient.cancel();
    return { kind: 'upstream_first' };
  }
  fromUpstream.cancel();
  // Where the origin hung up before anybody spoke, what the client says decides how that is reported.
  return heardFromClient();
}

/** An origin that greets first speaks something else; but one of HTTP/2 may send its settings at once (RFC 9113 §3.4). */
function foreignGreeting(bytes: Buffer): true | undefined {
  return bytes.length > 0 && settingsIn(bytes) === 'no' ? true : undefined;
}

function beginningOf(
  result: Gathered<ClientBeginning>,
  isTls: boolean,
  options: PeekOptions,
): ClientBeginning {
  switch (result.kind) {
    case 'found':
      return result.value;
    case 'failed':
      throw new Failure('tls_handshake_failed', {
        side: 'client',
        detail: `unreadable ClientHello: ${result.error instanceof Error ? result.error.message : String(result.error)}`,
        cause: result.error,
      });
    case 'timeout':
      throw isTls
        ? new Failure('tls_handshake_failed', {
            side: 'client',
            detail: `client hello incomplete: timed out after ${options.timeoutMs} ms`,
          })
        : new Failure('stream_stage_timeout', {
            side: 'client',
            detail: `stream_stage_timeout:first_bytes:${options.timeoutMs}ms`,
          });
    case 'ended':
    case 'closed':
      throw isTls
        ? new Failure('tls_handshake_failed', { side: 'client', detail: 'unexpected eof in ClientHello' })
        : new Failure('client_aborted', {
            side: 'client',
            detail: `client left ${result.received === 0 ? 'before its first byte' : 'in its first line'}`,
          });
  }
}
