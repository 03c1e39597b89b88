// Every way into one proxy, each as a real client takes it: what curl has to be told so that its request comes in that way.
import type { ListenerAddress, MitmConfigInput } from 'soth-mitm';

import type { LabProxy } from './proxy.ts';
import { type TemporaryDirectory, temporaryDirectory } from './temporary.ts';

/** Configuration fields that open every way but those that need root. */
export interface OpenWays extends AsyncDisposable {
  readonly config: Pick<MitmConfigInput, 'bind' | 'unixSocketPath' | 'listeners'>;
  readonly folder: TemporaryDirectory;
}

/** Makes room for the Unix socket, and says where to listen. */
export async function openWays(): Promise<OpenWays> {
  const folder = await temporaryDirectory();
  return {
    config: {
      bind: '127.0.0.1:0',
      unixSocketPath: folder.resolve('proxy.sock'),
      // In the order in which `portOf` counts them.
      listeners: [
        { bind: '127.0.0.1:0', kind: 'socks5' },
        { bind: '127.0.0.1:0', tls: { names: ['localhost', '127.0.0.1'] } },
        { bind: '127.0.0.1:0', kind: 'direct', requiresAuthentication: false },
        { unixSocketPath: folder.resolve('direct.sock'), kind: 'direct', requiresAuthentication: false },
      ],
    },
    folder,
    [Symbol.asyncDispose]: async () => await folder[Symbol.asyncDispose](),
  };
}

/** One way in. */
export interface WayIn {
  readonly name: string;
  /** Whether the target is asked for with a name of the way's own, or by what the client takes for its origin. */
  readonly isDirect: boolean;
  /** What curl is told; `user` is `name:password`. */
  readonly curlArguments: (proxy: LabProxy, user?: string) => readonly string[];
}

function portAt(addresses: readonly ListenerAddress[], index: number): number {
  const address = addresses[index];
  if (address?.kind !== 'tcp') throw new Error(`listener ${index} has no port`);
  return address.port;
}

/** The path of one of the Unix sockets. */
export function socketPathOf({ handle }: LabProxy, kind: 'proxy' | 'direct' = 'proxy'): string {
  const address = handle.addresses[kind === 'proxy' ? 1 : 5];
  if (address?.kind !== 'unix') throw new Error('there is no Unix socket');
  return address.path;
}

/** The port of one of the further listeners. */
export function portOf(proxy: LabProxy, kind: 'socks5' | 'tls' | 'direct'): number {
  return portAt(proxy.handle.addresses, { socks5: 2, tls: 3, direct: 4 }[kind]);
}

function withUser(flag: string, user: string | undefined): readonly string[] {
  return user === undefined ? [] : [flag, user];
}

/** The ways that curl can take, beginning with the plainest. */
export const waysIn: readonly WayIn[] = [
  {
    name: 'HTTP proxy',
    isDirect: false,
    curlArguments: ({ port }, user) => ['-x', `http://127.0.0.1:${port}`, ...withUser('-U', user)],
  },
  {
    name: 'SOCKS5 on the same port, the name resolved by the proxy',
    isDirect: false,
    curlArguments: ({ port }, user) => ['-x', `socks5h://127.0.0.1:${port}`, ...withUser('-U', user)],
  },
  {
    name: 'SOCKS5 on a port of its own',
    isDirect: false,
    curlArguments: (proxy, user) => [
      '-x',
      `socks5h://127.0.0.1:${portOf(proxy, 'socks5')}`,
      ...withUser('-U', user),
    ],
  },
  {
    name: 'SOCKS5 over a Unix socket',
    isDirect: false,
    curlArguments: (proxy, user) => [
      '-x',
      `socks5h://localhost${socketPathOf(proxy)}`,
      ...withUser('-U', user),
    ],
  },
  {
    name: 'HTTPS proxy',
    isDirect: false,
    curlArguments: (proxy, user) => [
      '-x',
      `https://localhost:${portOf(proxy, 'tls')}`,
      '--proxy-cacert',
      proxy.caFile,
      ...withUser('-U', user),
    ],
  },
  {
    name: 'direct',
    isDirect: true,
    // Whatever the address in the URL, the connection goes to the proxy.
    curlArguments: (proxy) => ['--noproxy', '*', '--connect-to', `::127.0.0.1:${portOf(proxy, 'direct')}`],
  },
  {
    name: 'direct over a Unix socket',
    isDirect: true,
    curlArguments: (proxy) => ['--noproxy', '*', '--unix-socket', socketPathOf(proxy, 'direct')],
  },
];
