import { expect, test } from 'vitest';

import {
  floodError,
  floodReasons,
  h2Code,
  h2CodeName,
  h2ConnectionError,
  H2SessionError,
  h2SessionReasons,
} from '../../src/h2/error-codes.ts';

test.each([
  [h2Code.noError, 'NO_ERROR'],
  [h2Code.protocolError, 'PROTOCOL_ERROR'],
  [h2Code.internalError, 'INTERNAL_ERROR'],
  [h2Code.flowControlError, 'FLOW_CONTROL_ERROR'],
  [h2Code.settingsTimeout, 'SETTINGS_TIMEOUT'],
  [h2Code.streamClosed, 'STREAM_CLOSED'],
  [h2Code.frameSizeError, 'FRAME_SIZE_ERROR'],
  [h2Code.refusedStream, 'REFUSED_STREAM'],
  [h2Code.cancel, 'CANCEL'],
  [h2Code.compressionError, 'COMPRESSION_ERROR'],
  [h2Code.connectError, 'CONNECT_ERROR'],
  [h2Code.enhanceYourCalm, 'ENHANCE_YOUR_CALM'],
  [h2Code.inadequateSecurity, 'INADEQUATE_SECURITY'],
  [h2Code.http11Required, 'HTTP_1_1_REQUIRED'],
  [99, 'UNKNOWN_99'],
])('code %i is called %s', (code, name) => {
  expect(h2CodeName(code)).toBe(name);
});

test.each([
  [h2Code.protocolError, 'protocol_error'],
  [h2Code.flowControlError, 'flow_control_error'],
  [h2Code.settingsTimeout, 'settings_timeout'],
  [h2Code.streamClosed, 'stream_closed'],
  [h2Code.frameSizeError, 'frame_size_error'],
  [h2Code.compressionError, 'compression_error'],
])('a connection error with code %i has the reason %s', (code, reason) => {
  const error = h2ConnectionError(code, 'what was wrong');
  expect(error).toBeInstanceOf(H2SessionError);
  expect(error).toMatchObject({ code, reason, message: 'what was wrong' });
});

test.each(floodReasons)('%s is answered by ENHANCE_YOUR_CALM', (reason) => {
  expect(floodError(reason)).toMatchObject({ code: h2Code.enhanceYourCalm, reason });
  expect(h2SessionReasons).toContain(reason);
});
