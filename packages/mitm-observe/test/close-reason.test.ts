import { expect, test } from 'vitest';

import { closeReasonMeanings, closeReasons } from '../src/close-reason.ts';

test('the original codes are unchanged, and four have joined', () => {
  expect(closeReasons.toSorted()).toEqual([
    'accept_loop_closed',
    'blocked',
    'capacity_denied',
    'client_aborted',
    'connect_parse_failed',
    'handler_error',
    'idle_watchdog_timeout',
    'mitm_http_completed',
    'mitm_http_error',
    'relay_eof',
    'relay_error',
    'route_planner_failed',
    'shutdown',
    'stream_stage_timeout',
    'tls_handshake_failed',
    'upstream_connect_failed',
    'websocket_completed',
    'websocket_error',
  ]);
});

test.each(closeReasons)('%s is explained in one sentence', (reason) => {
  expect(closeReasonMeanings[reason]).toMatch(/^[A-Z][^.]*\.$/);
});
