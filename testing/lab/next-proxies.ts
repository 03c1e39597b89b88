// Proxies of other makers for the proxy to go on through: squid, mitmproxy, microsocks and dante, each with settings of its own and
// nothing of the machine's.
import { execFile } from 'node:child_process';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';

import type { LabAuthority } from './certificates.ts';
import { type ServedProgram, serveProgram } from './served-program.ts';
import { temporaryDirectory } from './temporary.ts';

/** What a proxy asks of its clients. */
export interface ProxyLogin {
  readonly username: string;
  readonly password: string;
}

export interface NextProxyServer extends AsyncDisposable {
  readonly port: number;
  /** What it says it was asked for, as far as it says so. */
  log(): Promise<string>;
}

export interface SquidOptions {
  /** Asks for Basic credentials. */
  readonly login?: ProxyLogin;
  /** Speaks TLS with its clients, with a certificate of this authority. */
  readonly tls?: LabAuthority;
  /** Further lines of its configuration, before those that let everybody in. */
  readonly lines?: readonly string[];
}

/** squid, as Debian builds it with OpenSSL. */
export async function startSquid(options: SquidOptions = {}): Promise<NextProxyServer> {
  const folder = await temporaryDirectory('soth-squid-');
  // It gives up its rights before it reads and writes there.
  await chmod(folder.path, 0o777);
  const log = await folder.write('access.log', '');
  await chmod(log, 0o666);
  const { login, tls, lines = [] } = options;
  const access = ['http_access allow all'];
  if (login !== undefined) {
    const { stdout } = await promisify(execFile)('openssl', ['passwd', '-apr1', login.password]);
    const users = await folder.write('users', `${login.username}:${stdout.trim()}\n`);
    await chmod(users, 0o644);
    access.unshift(
      `auth_param basic program /usr/lib/squid/basic_ncsa_auth ${users}`,
      'auth_param basic realm lab',
      'acl known proxy_auth REQUIRED',
      'http_access deny !known',
    );
  }
  const certificate = await tls?.issue(['localhost', '127.0.0.1']);
  const tlsOptions =
    certificate === undefined
      ? ''
      : ` tls-cert=${await folder.write('cert.pem', certificate.certPem)} tls-key=${await folder.write('key.pem', certificate.keyPem)}`;
  const program = await serveProgram('squid', async (port) => [
    '-N',
    '-f',
    await folder.write(
      'squid.conf',
      [
        `${tls === undefined ? 'http_port' : 'https_port'} 127.0.0.1:${port}${tlsOptions}`,
        `access_log stdio:${log} squid`,
        'cache deny all',
        'cache_log /dev/null',
        'pid_filename none',
        'pinger_enable off',
        'shutdown_lifetime 0 seconds',
        'max_filedescriptors 1024',
        'strip_query_terms off',
        'visible_hostname squid.lab',
        ...lines,
        ...access,
        '',
      ].join('\n'),
    ),
  ]);
  return served(program, folder, () => readFile(log, 'utf8'));
}

/** microsocks: SOCKS5 with or without a user name and password. */
export async function startMicrosocks(login?: ProxyLogin): Promise<NextProxyServer> {
  const program = await serveProgram('microsocks', (port) => [
    '-i',
    '127.0.0.1',
    '-p',
    String(port),
    ...(login === undefined ? [] : ['-u', login.username, '-P', login.password]),
  ]);
  return served(program, undefined, () => Promise.resolve(program.output));
}

/** dante: SOCKS5 without credentials, that refuses what these of its rules refuse. @param rules whole `socks block` rules */
export async function startDante(rules: readonly string[] = []): Promise<NextProxyServer> {
  const folder = await temporaryDirectory('soth-dante-');
  const program = await serveProgram('danted', async (port) => {
    const file = folder.resolve('danted.conf');
    const lines = [
      'logoutput: stdout',
      `internal: 127.0.0.1 port = ${port}`,
      'external: lo',
      'socksmethod: none',
      'clientmethod: none',
      'client pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }',
      ...rules,
      'socks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 log: connect }',
      '',
    ];
    await writeFile(file, lines.join('\n'));
    return ['-f', file, '-p', folder.resolve('danted.pid')];
  });
  return served(program, folder, () => Promise.resolve(program.output));
}

/** mitmproxy, that passes TLS on unread. */
export async function startMitmdump(login?: ProxyLogin): Promise<NextProxyServer> {
  const folder = await temporaryDirectory('soth-mitmdump-');
  const program = await serveProgram('mitmdump', (port) => [
    '--listen-host',
    '127.0.0.1',
    '--listen-port',
    String(port),
    '--set',
    `confdir=${folder.path}`,
    '--ignore-hosts',
    '.*',
    ...(login === undefined ? [] : ['--proxyauth', `${login.username}:${login.password}`]),
  ]);
  return served(program, folder, () => Promise.resolve(program.output));
}

function served(
  program: ServedProgram,
  folder: AsyncDisposable | undefined,
  log: () => Promise<string>,
): NextProxyServer {
  return {
    port: program.port,
    log,
    async [Symbol.asyncDispose]() {
      await program[Symbol.asyncDispose]();
      await folder?.[Symbol.asyncDispose]();
    },
  };
}
