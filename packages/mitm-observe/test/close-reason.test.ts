import { expect, test } from 'vitest';

import { closeReasonMeanings, closeReasons } from '../src/close-reason.ts';

test('the original codes are unchanged; four, what a way in can end with, and the floods of HTTP/2 have joined', () => {
  expect(closeReasons.toSorted()).toEqual([
    'accept_loop_closed',
    'authentication_failed',
    'blocked',
    'capacity_denied',
    'client_aborted',
    'connect_parse_failed',
    'continuation_flood',
    'control_queue_flood',
    'empty_data_flood',
    'handler_error',
    'header_list_flood',
    'idle_watchdog_timeout',
    'ignored_frame_flood',
    'mitm_http_completed',
    'mitm_http_error',
    'ping_flood',
    'proxy_header_failed',
    'rapid_reset',
    'relay_eof',
    'relay_error',
    'route_planner_failed',
    'settings_flood',
    'shutdown',
    'socks5_greeting_failed',
    'stream_stage_timeout',
    'tls_handshake_failed',
    'too_many_streams',
    'upstream_connect_failed',
    'websocket_completed',
    'websocket_error',
    'window_update_flood',
    'zero_window_stall',
  ]);
});

test.each(closeReasons)('%s is explained in one sentence', (reason) => {
  expect(closeReasonMeanings[reason]).toMatch(/^[A-Z][^.]*\.$/);
});
