// Configuration of the back-off: when a client that keeps refusing our certificate for a host is let through to it unread.
import { z } from 'zod';

import { count, milliseconds } from './field.ts';

/** When the back-off is at work. */
export const tlsBackoffModes = ['auto', 'on', 'off'] as const;

export const tlsBackoffSchema = z
  .strictObject({
    mode: z
      .enum(tlsBackoffModes)
      .default('auto')
      .describe(
        'Whether a client that keeps refusing our certificate for a host is let through to that host unread. `auto` is on with `interceptMode: "monitor"` and off with `"enforce"`, where a client could switch interception off by failing on purpose.',
      ),
    strikes: count('strikes', 1_000)
      .default(3)
      .describe(
        'How many times in a row it must refuse: by an alert about the certificate, by going away when it is shown, or by closing within two seconds of the handshake without a byte. A request that is served forgets the strikes before it.',
      ),
    windowMs: milliseconds()
      .default(300_000)
      .describe('How far apart the first and the last of these strikes may be, in milliseconds.'),
    ttlMs: milliseconds()
      .default(900_000)
      .describe('How long the client is let through, in milliseconds. Then it is intercepted again.'),
  })
  .prefault({})
  .describe(
    'Letting clients through that do not accept our certificate. It holds for one client, its process or else its address, and for exactly one host.',
  );
