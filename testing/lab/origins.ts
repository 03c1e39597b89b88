// The origins that tests put behind the proxy, by one name for all kinds.
export {
  type HttpOrigin,
  type HttpsOrigin,
  type HttpsOriginOptions,
  loopbackNames,
  type OriginHandler,
  type SeenHandshake,
  type SeenRequest,
  type SseOriginOptions,
  startHttpOrigin,
  startHttpsOrigin,
  startSseOrigin,
} from './http-origins.ts';
export type { Listening, ListenOptions } from './listening.ts';
export {
  type RawOrigin,
  type RawOriginOptions,
  type RawScript,
  refusedPort,
  startBannerOrigin,
  startRawOrigin,
  startSilentOrigin,
  startTcpEcho,
} from './raw-origins.ts';
