// Sockets that systemd hands over: what the environment has to say for a descriptor to be taken.
import { expect, test } from 'vitest';

import { requireInherited } from '../src/inherited-socket.ts';

test.each([
  [3, '1'],
  [3, '2'],
  [4, '2'],
])('descriptor %i of %s', (fd, count) => {
  expect(() => requireInherited(fd, { LISTEN_FDS: count, LISTEN_PID: '77' }, 77)).not.toThrow();
});

test.each([
  [{}, 3, 'LISTEN_FDS and LISTEN_PID are not set'],
  [{ LISTEN_FDS: '1' }, 3, 'LISTEN_FDS and LISTEN_PID are not set'],
  [{ LISTEN_FDS: '1', LISTEN_PID: '76' }, 3, 'LISTEN_PID is 76 and this process is 77'],
  [{ LISTEN_FDS: '1', LISTEN_PID: '77' }, 4, 'LISTEN_FDS is 1: the last one is 3'],
  [{ LISTEN_FDS: 'many', LISTEN_PID: '77' }, 3, 'LISTEN_FDS is many'],
])('%o and descriptor %i: %s', (environment, fd, text) => {
  expect(() => requireInherited(fd, environment, 77)).toThrow(
    `cannot listen on file descriptor ${fd}: ${text}`,
  );
});
