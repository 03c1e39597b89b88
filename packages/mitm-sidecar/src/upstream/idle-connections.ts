// Which of the idle HTTP/1 connections to an origin a request may use, and which it gets.
import type { AcquireRequest } from './acquire.ts';

/** What is asked of an idle connection here. */
export interface IdleConnection {
  readonly isIdle: boolean;
  /** Whoever used it last. */
  readonly lastUser: object | undefined;
}

/** What is asked of a request here. */
export interface ConnectionWish extends Pick<AcquireRequest, 'isRepeatable' | 'isFresh'> {
  readonly flow: { readonly connection: object };
}

/** A used connection goes to another client only for what may be repeated: it may turn out to be dead. */
export function mayUse({ lastUser }: IdleConnection, wish: ConnectionWish): boolean {
  if (wish.isFresh) return false;
  return wish.isRepeatable || lastUser === undefined || lastUser === wish.flow.connection;
}

/** Takes one out of the list, the one used last: it is the likeliest to be alive. */
export function takeIdle<C extends IdleConnection>(idle: C[], wish: ConnectionWish): C | undefined {
  for (let i = idle.length - 1; i >= 0; i -= 1) {
    const connection = idle[i];
    if (connection === undefined || !connection.isIdle || !mayUse(connection, wish)) continue;
    if (i === idle.length - 1) idle.pop();
    else idle.splice(i, 1);
    return connection;
  }
  return undefined;
}
