import { expect, test } from 'vitest';

import {
  WebSocketRequestError,
  webSocketRequestCodes,
  WebSocketResponseError,
  webSocketResponseCodes,
} from '../../src/websocket/handshake-error.ts';

test.each(webSocketRequestCodes)('a request with %s is answered', (code) => {
  const error = new WebSocketRequestError(code, 'why');
  expect(error.status).toBe(code === 'unsupported_sec_websocket_version' ? 426 : 400);
  expect(error.detail).toBe(`websocket_upgrade_request:${code}`);
});

test.each(webSocketResponseCodes)('a response with %s is a bad gateway', (code) => {
  const error = new WebSocketResponseError(code, 'why');
  expect(error).toMatchObject({ status: 502, detail: `websocket_upgrade_response:${code}` });
});

test('a detail may name what was received', () => {
  expect(new WebSocketRequestError('unsupported_sec_websocket_version', 'why', '12').detail).toBe(
    'websocket_upgrade_request:unsupported_sec_websocket_version:12',
  );
  expect(new WebSocketResponseError('invalid_status_code', 'why', '200').detail).toBe(
    'websocket_upgrade_response:invalid_status_code:200',
  );
});
