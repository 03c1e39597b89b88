// What mitmproxy tells of a TLS handshake, as the add-on in this package writes it: one JSON object a line. Lines come from another
// program, so each is checked; fields that are not known are passed over, so that a newer add-on can say more.
import { z } from 'zod';

export const tlsCallbackSchema = 'soth-mitm-tls-callback-v1';

/** The steps that are told, `client` being the client's leg and `server` the origin's. */
export const tlsCallbackHooks = [
  'tls_handshake_started_client',
  'tls_handshake_started_server',
  'tls_handshake_succeeded_client',
  'tls_handshake_succeeded_server',
  'tls_failed_client',
  'tls_failed_server',
] as const;
export type TlsCallbackHook = (typeof tlsCallbackHooks)[number];

/** One callback, checked. */
export interface TlsCallback {
  readonly hook: TlsCallbackHook;
  /** mitmproxy's own id of the client connection. */
  readonly flowId: string;
  /** `host:port`; `<unknown>` where mitmproxy did not tell. */
  readonly clientAddr: string;
  /** `<unknown>` where mitmproxy did not tell. */
  readonly serverHost: string;
  /** 0 where mitmproxy did not tell. */
  readonly serverPort: number;
  readonly sni?: string | undefined;
  readonly alpn?: string | undefined;
  readonly tlsVersion?: string | undefined;
  /** The failure in mitmproxy's words. */
  readonly error?: string | undefined;
  readonly providerErrorClass?: string | undefined;
  readonly providerErrorCode?: string | undefined;
  readonly providerErrorDetail?: string | undefined;
}

/** A line that is no callback; the message says what is wrong with it. */
export class TlsCallbackError extends Error {
  override readonly name = 'TlsCallbackError';
  readonly code = 'malformed_callback';
}

const maxShownLength = 120;
const unknown = '<unknown>';

const lineSchema = z.object({
  schema: z.literal(tlsCallbackSchema),
  hook: z.enum(tlsCallbackHooks),
  flow_id: z.string().min(1),
  client_addr: z.string().min(1).default(unknown),
  server_host: z.string().min(1).default(unknown),
  server_port: z.int().min(0).max(65_535).default(0),
  sni: z.string().optional(),
  alpn: z.string().optional(),
  tls_version: z.string().optional(),
  error: z.string().optional(),
  provider_error_class: z.string().optional(),
  provider_error_code: z.string().optional(),
  provider_error_detail: z.string().optional(),
});

/** Reads one line. Throws {@link TlsCallbackError} for what is not JSON, or not a callback. */
export function parseTlsCallback(line: string): TlsCallback {
  const found = lineSchema.safeParse(jsonOf(line));
  if (!found.success) {
    const faults = found.error.issues.map(({ path, message }) => `${path.join('.') || 'line'}: ${message}`);
    throw new TlsCallbackError(`no TLS callback: ${faults.join('; ')}: ${shown(line)}`);
  }
  const fields = found.data;
  return {
    hook: fields.hook,
    flowId: fields.flow_id,
    clientAddr: fields.client_addr,
    serverHost: fields.server_host,
    serverPort: fields.server_port,
    sni: fields.sni,
    alpn: fields.alpn,
    tlsVersion: fields.tls_version,
    error: fields.error,
    providerErrorClass: fields.provider_error_class,
    providerErrorCode: fields.provider_error_code,
    providerErrorDetail: fields.provider_error_detail,
  };
}

function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new TlsCallbackError(`no TLS callback, the line is not JSON: ${shown(line)}`, { cause });
  }
}

function shown(line: string): string {
  return JSON.stringify(line.length > maxShownLength ? `${line.slice(0, maxShownLength)}…` : line);
}
