import { expect, test } from 'vitest';

import { silentOrigin } from '../../src/relay/silent-origin.ts';

test.each(['stream_stage_timeout', 'idle_watchdog_timeout'] as const)('%s names stage and time', (reason) => {
  expect(silentOrigin(reason, 'http1_response_body', 250)).toMatchObject({
    reason,
    side: 'upstream',
    detail: `${reason}:http1_response_body:250ms`,
    reply: { status: 504, body: 'the origin did not answer in time\n' },
  });
});
