// Listening sockets that systemd opened before it started this process (socket activation): they are told of in the environment,
// and counted from descriptor 3.
import { MitmError } from 'mitm-core';

const firstDescriptor = 3;

/**
 * Checks that a descriptor was handed to this process as a socket to listen on.
 *
 * @throws MitmError `ERR_MITM_LISTEN_FAILED` saying what is missing
 */
export function requireInherited(
  fd: number,
  environment: Readonly<Record<string, string | undefined>>,
  pid: number,
): void {
  const { LISTEN_FDS: count, LISTEN_PID: owner } = environment;
  const refused = (why: string): MitmError =>
    new MitmError('ERR_MITM_LISTEN_FAILED', `cannot listen on file descriptor ${fd}: ${why}`);
  if (count === undefined || owner === undefined)
    throw refused('LISTEN_FDS and LISTEN_PID are not set: start the proxy by the socket unit of systemd');
  if (owner !== String(pid))
    throw refused(
      `LISTEN_PID is ${owner} and this process is ${pid}: systemd has to start the proxy itself, without a shell between`,
    );
  const last = firstDescriptor + Number(count) - 1;
  if (fd <= last) return;
  throw refused(`LISTEN_FDS is ${count}: the last one is ${last}`);
}
