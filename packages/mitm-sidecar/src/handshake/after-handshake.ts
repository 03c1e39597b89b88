// Watches a client's TLS stream once its handshake is done, for what no reader of its bytes can tell: an error of the TLS layer itself,
// and a client that left at once without a byte, as one does that pins another certificate.
import type { Duplex } from 'node:stream';

import { isTlsLayerError } from 'mitm-tls';

/** Who is told. */
export interface AfterHandshake {
  /** A late alert, or a record that can't be read. The stream is destroyed. */
  failed(error: Error): void;
  /** The client closed the stream within two seconds, and had not sent a byte. */
  closedUnused(): void;
}

/** A client that does not like the certificate leaves at once; a browser that connected for later stays. */
const UNUSED_MS = 2_000;

/** Begins to watch; the stream belongs to its reader, and nothing is taken from it. */
export function watchAfterHandshake(stream: Duplex, report: AfterHandshake): void {
  const sinceMs = performance.now();
  let isSettled = false;
  const used = (): void => {
    isSettled = true;
    stream.removeListener('end', left);
  };
  const left = (): void => {
    if (isSettled) return;
    isSettled = true;
    stream.removeListener('data', used);
    if (performance.now() - sinceMs <= UNUSED_MS) report.closedUnused();
  };
  const failed = (error: Error): void => {
    stream.removeListener('error', failed);
    stream.removeListener('_tlsError', failed);
    if (!isTlsLayerError(error)) {
      left();
      return;
    }
    isSettled = true;
    report.failed(error);
    // A server-side TLSSocket made by hand tells such an error and stays open; nobody could read or write it any more.
    if (!stream.destroyed) stream.destroy(error);
  };
  stream.once('data', used);
  stream.once('end', left);
  stream.on('error', failed);
  stream.on('_tlsError', failed);
}
