// Configuration of the front door: where the proxy listens and how it reads what a client says first.
import { connectParseModes, formatAuthority } from 'mitm-http';
import { z } from 'zod';

import { parseBindAddress, type Endpoint } from './address.ts';
import { bytes, filePath, mebibyte, milliseconds, readAs } from './field.ts';

const bindAddress = z
  .union([z.string(), z.strictObject({ host: z.string(), port: z.number() })], {
    error: 'must be a text HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080',
  })
  .default('127.0.0.1:8080')
  .describe(
    'Address and port to listen on, as `HOST:PORT` with IPv6 in brackets. Port 0 lets the system choose. Others on the network can only reach the proxy if the host is not a loopback address.',
  )
  .transform(readAs(readBind));

export const listenFields = {
  bind: bindAddress,
  unixSocketPath: filePath()
    .optional()
    .describe(
      'Path of a Unix socket on which plain HTTP/1 requests are taken as well. Ignored where the system has none.',
    ),
  connectParseMode: z
    .enum(connectParseModes)
    .default('strict')
    .describe(
      'How a CONNECT line is read. `strict` takes what RFC 9112 allows; `lenient` also a method in lower case, a missing port (443) and a target written as a URL.',
    ),
  maxConnectHeadBytes: bytes(16 * mebibyte)
    .default(65_536)
    .describe(
      'Largest first head of a connection, in bytes with its final empty line. A longer one gets 431.',
    ),
  acceptRetryBackoffMs: milliseconds()
    .default(100)
    .describe(
      'Pause before accepting or binding is tried again after the system refused it, in milliseconds.',
    ),
};

/**
 * Reads an address to listen on. A parsed configuration is valid input again, so the parsed form is read like the written one.
 *
 * @throws Error that names the broken rule
 */
export function readBind(address: string | Endpoint): Endpoint {
  if (typeof address === 'string') return parseBindAddress(address);
  const host = address.host.replace(/^\[(?<inner>.*)\]$/u, '$<inner>');
  return parseBindAddress(formatAuthority(host, address.port));
}
