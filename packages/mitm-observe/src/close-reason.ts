// Why a flow ended: the closed vocabulary of `stream_closed`. A code may be added, none is ever renamed.

/** Every close reason, in the order in which a flow can meet them. */
export const closeReasons = [
  'capacity_denied',
  'connect_parse_failed',
  'blocked',
  'route_planner_failed',
  'upstream_connect_failed',
  'tls_handshake_failed',
  'relay_eof',
  'relay_error',
  'mitm_http_completed',
  'mitm_http_error',
  'websocket_completed',
  'websocket_error',
  'idle_watchdog_timeout',
  'stream_stage_timeout',
  'client_aborted',
  'handler_error',
  'shutdown',
  'accept_loop_closed',
] as const;
export type CloseReason = (typeof closeReasons)[number];

/** What each close reason says, in one sentence. */
export const closeReasonMeanings: Readonly<Record<CloseReason, string>> = {
  capacity_denied: 'The limit of concurrent flows was reached and the client was refused.',
  connect_parse_failed: 'The first request head could not be read or accepted.',
  blocked: 'The policy or the handler refused the flow.',
  route_planner_failed: 'No route to the target could be planned.',
  upstream_connect_failed: 'The next hop could not be reached, or its proxy greeting failed.',
  tls_handshake_failed: 'A TLS handshake, or what it needs such as a leaf certificate, failed.',
  relay_eof: 'A tunnel ended because both sides had finished.',
  relay_error: 'A tunnel ended because one of its sockets failed.',
  mitm_http_completed: 'The HTTP exchange or connection was complete.',
  mitm_http_error: 'An HTTP message was malformed, cut off or beyond a limit.',
  websocket_completed: 'The WebSocket ended without error.',
  websocket_error: 'The WebSocket ended because a frame or a socket failed.',
  idle_watchdog_timeout: 'Nothing moved within the idle time.',
  stream_stage_timeout: 'A stage, such as reading a head, took longer than it may.',
  client_aborted: 'The client went away before it had its answer, or never sent anything.',
  handler_error: 'A handler failed and the configuration makes that the end of the flow.',
  shutdown: 'The proxy stopped before the flow had ended.',
  accept_loop_closed: 'The listener that had accepted the flow was closed.',
};
