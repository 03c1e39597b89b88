// The public face of mitm-sidecar.
export { ProxyServer, type ProxyServerOptions } from './proxy-server.ts';
export { type ListenAddress, LoopGuard } from './upstream/loop-guard.ts';
export { serveConnection } from './connection.ts';
export type { Runtime } from './runtime.ts';
export { UpstreamPool } from './upstream/pool.ts';
export { UpstreamTargets } from './upstream/target.ts';
