// What an exchange needs to know of its messages, whichever HTTP version they came in.
import type { HeaderMap } from 'mitm-http';

/** What the exchange needs to know of a request head; every HTTP version has it. */
export interface RequestFacts {
  readonly method: string;
  readonly target: string;
  readonly version: string;
  readonly headers: HeaderMap;
  readonly headerCount: number;
  /** The options of Connection in lower case, joined by commas; HTTP/2 has none. */
  readonly connection?: string;
}

/** What the exchange needs to know of a response head. */
export interface ResponseFacts {
  readonly status: number;
  readonly reason: string;
  readonly version: string;
  readonly headers: HeaderMap;
  readonly headerCount: number;
  /** The options of Connection in lower case, joined by commas; HTTP/2 has none. */
  readonly connection?: string;
}

export interface ExchangeInit {
  readonly request: RequestFacts;
  readonly scheme: 'http' | 'https';
  /** As handlers see it: `host`, or `host:port` when the port is not the scheme's own. */
  readonly authority: string;
  readonly path: string;
  readonly hasBody: boolean;
  readonly isUpgrade: boolean;
  /** Passes unseen: no events but the flow's end, and no hooks but `onStreamEnd`. */
  readonly isUnobserved?: boolean;
}
