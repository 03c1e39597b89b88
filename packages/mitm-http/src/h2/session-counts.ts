// Numbers about a connection, counted where things happen and read as SessionStats.

import type { SessionStats } from './session-types.ts';

/** See {@link SessionStats}. */
export class SessionCounts implements SessionStats {
  openedStreams = 0;
  completedStreams = 0;
  resetsReceived = 0;
  resetsSent = 0;
  refusedStreams = 0;
  dataBytesReceived = 0;
  dataBytesSent = 0;
}
