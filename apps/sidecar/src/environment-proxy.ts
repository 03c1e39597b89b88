// The proxy that the environment names in the customary variables, as fields of the configuration. Nobody looks at them unless the
// command line says so.
import type { MitmConfigInput } from 'soth-mitm';

import { EnvironmentError } from './environment.ts';

type Proxy = NonNullable<MitmConfigInput['upstreamProxies']>[number];

/** Every field that says which way traffic leaves; what the environment leaves open is undefined, and then absent. */
export type RouteFields = Pick<
  MitmConfigInput,
  | 'routeMode'
  | 'reverseUpstream'
  | 'upstreamHttpProxy'
  | 'upstreamSocks5Proxy'
  | 'upstreamProxies'
  | 'routes'
  | 'noProxy'
>;

const schemes: Readonly<
  Record<string, { readonly type: Proxy['type']; readonly tls: boolean; readonly port: number }>
> = {
  'http:': { type: 'http', tls: false, port: 80 },
  'https:': { type: 'http', tls: true, port: 443 },
  'socks:': { type: 'socks5', tls: false, port: 1080 },
  'socks5:': { type: 'socks5', tls: false, port: 1080 },
  'socks5h:': { type: 'socks5', tls: false, port: 1080 },
};

interface Named {
  /** The variable as it is set. */
  readonly name: string;
  readonly text: string;
}

/**
 * Reads `HTTPS_PROXY` for everything, `HTTP_PROXY` for port 80, `ALL_PROXY` where one of them is not set, and `NO_PROXY`. The names
 * in lower case go first, as with curl.
 *
 * @returns undefined when no proxy is named
 * @throws EnvironmentError that names the variable, and never shows its value
 */
export function environmentRoute(variables: NodeJS.ProcessEnv): RouteFields | undefined {
  const read = (upper: string): Named | undefined => {
    const found = [upper.toLowerCase(), upper].find((name) => (variables[name]?.trim() ?? '') !== '');
    return found === undefined ? undefined : { name: found, text: variables[found]?.trim() ?? '' };
  };
  const all = read('ALL_PROXY');
  const [usual, plain] = [read('HTTPS_PROXY') ?? all, read('HTTP_PROXY') ?? all];
  if (usual === undefined && plain === undefined) return undefined;
  const isOneForAll = usual?.text === plain?.text;
  const noProxy = read('NO_PROXY')
    ?.text.split(/[\s,]+/u)
    .filter((entry) => entry !== '');
  return {
    reverseUpstream: undefined,
    ...usualWay(usual),
    upstreamProxies: isOneForAll || plain === undefined ? [] : [proxyOf(plain)],
    routes: isOneForAll ? [] : [{ hosts: ['*:80'], via: plain?.name ?? 'direct' }],
    noProxy: noProxy ?? [],
  };
}

function usualWay(usual: Named | undefined): RouteFields {
  const none = { upstreamHttpProxy: undefined, upstreamSocks5Proxy: undefined };
  if (usual === undefined) return { ...none, routeMode: 'direct' };
  const { name: _name, type, tls, ...proxy } = proxyOf(usual);
  return type === 'http'
    ? { ...none, routeMode: 'upstream_http', upstreamHttpProxy: { ...proxy, tls: tls ?? false } }
    : { ...none, routeMode: 'upstream_socks5', upstreamSocks5Proxy: proxy };
}

function proxyOf({ name, text }: Named): Proxy {
  const url = URL.parse(text.includes('://') ? text : `http://${text}`);
  const scheme = url === null ? undefined : schemes[url.protocol];
  if (url === null || scheme === undefined || url.hostname === '') {
    throw new EnvironmentError(
      `${name} is no proxy: set it to http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT, or unset it`,
    );
  }
  const { type, tls, port } = scheme;
  return {
    name,
    type,
    host: url.hostname,
    port: url.port === '' ? port : Number(url.port),
    tls,
    ...(url.username === ''
      ? {}
      : { username: decoded(name, url.username), password: decoded(name, url.password) }),
  };
}

function decoded(name: string, text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw new EnvironmentError(`${name} has a user name or password with a stray "%": write it as %25`, {
      cause,
    });
  }
}
