// The origins that tests put behind the proxy, by one name for all kinds.
export {
  type HttpOrigin,
  type HttpsOrigin,
  loopbackNames,
  type OriginHandler,
  startHttpOrigin,
  startHttpsOrigin,
  startSseOrigin,
} from './http-origins.ts';
export {
  type RawOrigin,
  type RawScript,
  refusedPort,
  startBannerOrigin,
  startRawOrigin,
  startSilentOrigin,
  startTcpEcho,
} from './raw-origins.ts';
