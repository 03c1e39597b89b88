import { expect, test } from 'vitest';

import { WebSocketFault, webSocketFaultCodes } from '../../src/websocket/fault.ts';

test.each(webSocketFaultCodes)('%s has a close code and a detail', (code) => {
  const fault = new WebSocketFault(code, 'why');
  expect(fault.closeCode).toBe(
    { payload_too_large: 1009, invalid_close_reason: 1007, truncated_frame: 1006 }[code as string] ?? 1002,
  );
  expect(fault).toMatchObject({ name: 'WebSocketFault', detail: `websocket_codec:${code}`, message: 'why' });
});
