// The public face of mitm-sidecar.
export type { ListenerAddress } from './listener.ts';
export { type WayIn } from './arrival/way-in.ts';
export { CredentialStore } from './arrival/credentials.ts';
export { KeyLog } from './handshake/key-log.ts';
export { ProxyServer, type ProxyServerOptions } from './proxy-server.ts';
export { type ListenAddress, LoopGuard } from './upstream/loop-guard.ts';
export { serveConnection } from './connection.ts';
export type { Runtime } from './runtime.ts';
export { UpstreamPool } from './upstream/pool.ts';
export { UpstreamTargets } from './upstream/target.ts';
export type { TlsSnapshot } from './handshake/tls-memory.ts';
