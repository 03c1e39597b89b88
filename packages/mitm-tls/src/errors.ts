// The typed errors of this package. A code is stable and never reused; a message names what was received and
// what to do.

/** Why certificate material could not be made, read, written or used. */
export const caErrorCodes = [
  'PERMISSION_DENIED',
  'OPERATION_FAILED',
  'INVALID_MATERIAL',
  'UNSUPPORTED_OPERATION',
  'IO',
] as const;
export type CaErrorCode = (typeof caErrorCodes)[number];

/** What may go along with a {@link CaError}. */
export interface CaErrorOptions {
  /** The file concerned. */
  readonly path?: string;
  readonly cause?: unknown;
}

/** Certificate or key material that cannot be made, read, written or used. */
export class CaError extends Error {
  override readonly name = 'CaError';
  readonly code: CaErrorCode;
  /** The file concerned, when there is one. */
  readonly path: string | undefined;

  constructor(code: CaErrorCode, message: string, options: CaErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.path = options.path;
  }
}

/** What can be wrong with a name that a certificate or an SNI is asked for. */
export const serverNameErrorCodes = ['invalid_name', 'no_names', 'sni_requires_name'] as const;
export type ServerNameErrorCode = (typeof serverNameErrorCodes)[number];

/** A host name or address that cannot stand in a certificate or in a server name indication. */
export class ServerNameError extends Error {
  override readonly name = 'ServerNameError';
  readonly code: ServerNameErrorCode;

  constructor(code: ServerNameErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** Why bytes are not a readable ClientHello. */
export const clientHelloErrorCodes = ['not_tls', 'too_large', 'malformed'] as const;
export type ClientHelloErrorCode = (typeof clientHelloErrorCodes)[number];

/** The bytes of a client are no TLS at all, or TLS that cannot be read. */
export class ClientHelloError extends Error {
  override readonly name = 'ClientHelloError';
  readonly code: ClientHelloErrorCode;

  constructor(code: ClientHelloErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
