// Programs that verify what a proxy shows them, each by its own code: they reach a host through CONNECT, trust one root, and
// say whether they accepted.
import { httpsThroughProxy } from './clients.ts';
import { runProgram } from './programs.ts';

export interface Verification {
  readonly proxyPort: number;
  /** As a user types it: a name, maybe with other than ASCII letters, or an address without brackets. */
  readonly host: string;
  /** PEM file and text of the only root that is trusted. */
  readonly rootFile: string;
  readonly rootPem: string;
  /** Highest version of TLS that the client offers, where it can be told. */
  readonly maxVersion?: 'TLSv1.2';
}

/** A client and what it takes to run it. */
export interface VerifyingClient {
  readonly name: string;
  readonly command: string | undefined;
  /** Why a proxy can't be asked for an IPv6 address with it. */
  readonly withoutIpv6?: string;
  /** Rejects, with what the program said, when it does not accept. */
  verify(asked: Verification): Promise<void>;
}

const isIpv6 = (host: string): boolean => host.includes(':');
const isAddress = (host: string): boolean => isIpv6(host) || /^[\d.]+$/.test(host);
/** The URL of a host, as a user types it. */
export const urlOf = (host: string): string => `https://${isIpv6(host) ? `[${host}]` : host}:443/`;
/** The name as it goes over the wire. */
export const wireName = (host: string): string =>
  isAddress(host) ? host : new URL(`https://${host}/`).hostname;

async function accepts(command: string, args: readonly string[], input?: Uint8Array): Promise<void> {
  const result = await runProgram(command, args, {
    ...(input !== undefined && { input }),
    environment: { LC_ALL: 'C.UTF-8' },
  });
  if (result.code !== 0) {
    const said = `${result.stderr}\n${result.stdout.toString('latin1')}`.trim().slice(-600);
    throw new Error(`${command} ended with ${result.code}: ${said}`);
  }
}

const pythonProgram = `
import socket, ssl, sys
port, host, root = int(sys.argv[1]), sys.argv[2], sys.argv[3]
context = ssl.create_default_context(cafile=root)
plain = socket.create_connection(('127.0.0.1', port), timeout=15)
name = '[' + host + ']' if ':' in host else host
plain.sendall(f'CONNECT {name}:443 HTTP/1.1\\r\\nHost: {name}:443\\r\\n\\r\\n'.encode())
head = b''
while not head.endswith(b'\\r\\n\\r\\n'):
    head += plain.recv(1)
with context.wrap_socket(plain, server_hostname=host) as secure:
    secure.sendall(f'GET / HTTP/1.1\\r\\nHost: {name}\\r\\nConnection: close\\r\\n\\r\\n'.encode())
    sys.exit(0 if secure.recv(12) == b'HTTP/1.1 200' else 1)
`;

export const verifyingClients: readonly VerifyingClient[] = [
  {
    name: 'curl',
    command: 'curl',
    verify: ({ proxyPort, host, rootFile, maxVersion }) =>
      accepts('curl', [
        '-q',
        '-sS',
        '-f',
        '-o',
        '/dev/null',
        '--proxy',
        `http://127.0.0.1:${proxyPort}`,
        ...(maxVersion === undefined ? [] : ['--tls-max', '1.2']),
        '--cacert',
        rootFile,
        urlOf(host),
      ]),
  },
  {
    name: 'openssl s_client',
    command: 'openssl',
    verify: ({ proxyPort, host, rootFile, maxVersion }) => {
      const name = wireName(host);
      const wanted = isAddress(name)
        ? ['-verify_ip', name, '-noservername']
        : ['-verify_hostname', name, '-servername', name];
      return accepts(
        'openssl',
        [
          's_client',
          '-proxy',
          `127.0.0.1:${proxyPort}`,
          '-connect',
          `${isIpv6(name) ? `[${name}]` : name}:443`,
          ...(maxVersion === undefined ? [] : ['-tls1_2']),
          '-CAfile',
          rootFile,
          '-verify_return_error',
          '-x509_strict',
          '-brief',
          ...wanted,
        ],
        Buffer.from('Q\n'),
      );
    },
  },
  {
    name: 'node',
    command: undefined,
    verify: async ({ proxyPort, host, rootPem }) => {
      await httpsThroughProxy({ proxyPort, url: urlOf(host), ca: rootPem });
    },
  },
  {
    name: 'python',
    command: 'python3',
    verify: ({ proxyPort, host, rootFile }) =>
      accepts('python3', ['-c', pythonProgram, String(proxyPort), wireName(host), rootFile]),
  },
  {
    name: 'wget',
    command: 'wget',
    withoutIpv6: 'wget writes an IPv6 target without brackets, which leaves open where it ends',
    verify: ({ proxyPort, host, rootFile }) =>
      accepts('wget', [
        '--no-config',
        '--no-hsts',
        '--tries=1',
        '--timeout=15',
        '-nv',
        '-O',
        '/dev/null',
        `--ca-certificate=${rootFile}`,
        '-e',
        'use_proxy=yes',
        '-e',
        `https_proxy=http://127.0.0.1:${proxyPort}`,
        urlOf(host),
      ]),
  },
];
