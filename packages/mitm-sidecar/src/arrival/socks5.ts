// The way in by SOCKS5 (RFC 1928): greeting, user and password where they are asked for, and the request for a target. From
// there on it is a CONNECT like any other, answered in SOCKS.
import { errorCode, errorText, Failure, type Flow } from 'mitm-core';
import { HeaderMap } from 'mitm-http';

import { gather } from '../gather.ts';
import type { ConnectRequest } from '../lanes/connect.ts';
import type { Runtime } from '../runtime.ts';
import type { Session } from '../session.ts';
import { type Answering, noAnswering } from './answering.ts';
import { asksForUser } from './authenticate.ts';
import {
  methodAnswer,
  parseCredentials,
  parseGreeting,
  parseRequest,
  passwordAnswer,
  type Read,
  requestAnswer,
  SocksError,
  socksMethod,
  type SocksReply,
  socksReply,
} from './socks5-messages.ts';

/**
 * Negotiates up to the request, which is left to be answered by whoever serves it.
 *
 * @throws Failure `socks5_greeting_failed`, `authentication_failed`, `stream_stage_timeout`, or `client_aborted` when nothing came;
 *   the client has been answered then as far as SOCKS has an answer
 */
export async function negotiateSocks5(
  flow: Flow,
  session: Session,
  runtime: Runtime,
): Promise<ConnectRequest> {
  session.answering = noAnswering;
  const conversation = new Conversation(flow, session);
  const offered = await conversation.read(parseGreeting);
  const needsUser = asksForUser(flow, session.wayIn);
  const wanted = needsUser ? socksMethod.password : socksMethod.none;
  // A client that is set up with a password may offer nothing else; where nobody asks, any will do.
  const method = [wanted, ...(needsUser ? [] : [socksMethod.password])].find((known) =>
    offered.includes(known),
  );
  if (method === undefined) {
    session.wire.write(methodAnswer(socksMethod.refused));
    if (needsUser) throw new Failure('authentication_failed', { side: 'client', detail: 'no credentials' });
    throw greetingFailure(`none of the methods ${offered.join(', ')} is possible`);
  }
  session.wire.write(methodAnswer(method));
  if (method === socksMethod.password) {
    const given = await conversation.read(parseCredentials);
    const user = needsUser
      ? runtime.credentials.of(flow.config.proxyAuthentication).find(given.username, given.password)
      : undefined;
    const isRight = !needsUser || user !== undefined;
    session.wire.write(passwordAnswer(isRight));
    if (!isRight) throw new Failure('authentication_failed', { side: 'client', detail: 'wrong credentials' });
    flow.user = user;
  }
  const target = await conversation.read(parseRequest);
  session.answering = socksAnswering;
  return { ...target, headers: new HeaderMap([]) };
}

/** Reads one message of the client after the other, all within one time. */
class Conversation {
  readonly #session: Session;
  readonly #timeoutMs: number;
  readonly #endsAtMs: number;

  constructor(flow: Flow, session: Session) {
    this.#session = session;
    this.#timeoutMs = flow.config.timeouts.handshakeMs;
    this.#endsAtMs = performance.now() + this.#timeoutMs;
  }

  async read<T>(parse: (bytes: Buffer) => Read<T> | undefined): Promise<T> {
    const { wire } = this.#session;
    const { result } = gather(wire, {
      recognise: parse,
      timeoutMs: Math.max(1, this.#endsAtMs - performance.now()),
      timeStarts: 'now',
    });
    const read = await result;
    switch (read.kind) {
      case 'found':
        wire.skip(read.value.length);
        return read.value.value;
      case 'failed':
        if (read.error instanceof SocksError && read.error.answer !== undefined)
          wire.write(read.error.answer);
        throw greetingFailure(errorText(read.error));
      case 'timeout':
        throw new Failure('stream_stage_timeout', {
          side: 'client',
          detail: `stream_stage_timeout:socks5_greeting:${this.#timeoutMs}ms`,
        });
      case 'ended':
      case 'closed':
        throw greetingFailure('the connection ended within the greeting');
    }
  }
}

function greetingFailure(detail: string): Failure {
  return new Failure('socks5_greeting_failed', { side: 'client', detail: `socks5: ${detail}` });
}

/** Clients of SOCKS5 that wait for the answer to their request. */
const socksAnswering: Answering = Object.freeze({
  granted: requestAnswer(socksReply.succeeded).toString('latin1'),
  refusal: (failure: Failure) => requestAnswer(replyTo(failure)),
});

const dialReplies: Readonly<Record<string, SocksReply>> = {
  ECONNREFUSED: socksReply.connectionRefused,
  ENETUNREACH: socksReply.networkUnreachable,
};

/** Which of the answers of RFC 1928 §6 comes nearest to a failure. */
export function replyTo({ reason, cause }: Failure): SocksReply {
  if (reason === 'blocked') return socksReply.notAllowed;
  if (reason !== 'upstream_connect_failed') return socksReply.generalFailure;
  return dialReplies[errorCode(cause) ?? ''] ?? socksReply.hostUnreachable;
}
