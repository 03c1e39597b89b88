// The greeting of a SOCKS5 proxy (RFC 1928), with a user name and password where they are configured (RFC 1929). Names are sent as
// names: the proxy looks them up. What comes behind its last reply belongs to the target and stays on the wire.
import type { Failure, NextProxy } from 'mitm-core';
import { type Authority, hostKind, parseIpv6 } from 'mitm-http';

import { gather } from '../gather.ts';
import type { Wire } from '../wire.ts';
import { greetingCutShort, greetingTimedOut, type ProxyFault, proxyFailure } from './proxy-failure.ts';

const VERSION = 5;
const AUTH_VERSION = 1;
const NO_CREDENTIALS = 0;
const USERNAME_PASSWORD = 2;
const NONE_ACCEPTABLE = 255;
const CONNECT = 1;
const IPV4 = 1;
const NAME = 3;
const IPV6 = 4;

/** RFC 1928 §6: what each reply means, as the events name it and as a sentence ends. */
const replies: Readonly<Record<number, readonly [string, string]>> = {
  1: ['general_failure', 'could not do it'],
  2: ['ruleset_blocked', 'does not allow it'],
  3: ['network_unreachable', 'found the network unreachable'],
  4: ['host_unreachable', 'found the host unreachable'],
  5: ['connection_refused', 'was refused the connection'],
  6: ['ttl_expired', 'found the way too long'],
  7: ['command_unsupported', 'knows no CONNECT'],
  8: ['address_type_unsupported', 'does not know this kind of address'],
};

/** Bytes that are no SOCKS5, or say no. */
class GreetingFault extends Error {
  readonly fault: ProxyFault;

  constructor(fault: ProxyFault) {
    super(fault.detail);
    this.fault = fault;
  }
}

/**
 * Asks a SOCKS5 proxy for a connection to the target.
 *
 * @throws Failure `upstream_connect_failed` with a 502, or a 504 when time ran out
 */
export async function greetSocks5(
  wire: Wire,
  proxy: NextProxy,
  target: Authority,
  options: { readonly timeoutMs: number },
): Promise<void> {
  const { credentials } = proxy;
  const greeting = new Greeting(wire, proxy, target, options.timeoutMs);
  const request = connectRequest(target);
  wire.write(
    Buffer.from(
      credentials === undefined ? [VERSION, 1, 0] : [VERSION, 2, NO_CREDENTIALS, USERNAME_PASSWORD],
    ),
  );
  const method = await greeting.read('socks5_method', (bytes) => readMethod(bytes, proxy));
  if (method === USERNAME_PASSWORD && credentials !== undefined) {
    const [user, pass] = [Buffer.from(credentials.username), Buffer.from(credentials.password)];
    wire.write(
      Buffer.concat([Buffer.from([AUTH_VERSION, user.length]), user, Buffer.from([pass.length]), pass]),
    );
    await greeting.read('socks5_credentials', (bytes) => readCredentialsReply(bytes, proxy));
  }
  wire.write(request);
  await greeting.read('socks5_connect', readReply);
}

/** What a reply says, and how many bytes it has. */
interface Reply<T> {
  readonly value: T;
  readonly length: number;
}

/** The steps of one greeting, which share one time. */
class Greeting {
  readonly #wire: Wire;
  readonly #proxy: NextProxy;
  readonly #target: Authority;
  readonly #timeoutMs: number;
  readonly #deadlineMs: number;

  constructor(wire: Wire, proxy: NextProxy, target: Authority, timeoutMs: number) {
    this.#wire = wire;
    this.#proxy = proxy;
    this.#target = target;
    this.#timeoutMs = timeoutMs;
    this.#deadlineMs = performance.now() + timeoutMs;
  }

  refuse(fault: ProxyFault): Failure {
    return proxyFailure(this.#proxy, this.#target.host, fault);
  }

  async read<T>(stage: string, recognise: (bytes: Buffer) => Reply<T> | undefined): Promise<T> {
    const timeoutMs = Math.max(1, this.#deadlineMs - performance.now());
    const answer = await gather(this.#wire, { recognise, timeoutMs, timeStarts: 'now' }).result;
    switch (answer.kind) {
      case 'found':
        this.#wire.skip(answer.value.length);
        return answer.value.value;
      case 'failed':
        if (answer.error instanceof GreetingFault) throw this.refuse(answer.error.fault);
        throw answer.error;
      case 'timeout':
        throw this.refuse(greetingTimedOut(stage, this.#timeoutMs));
      case 'ended':
        throw this.refuse(greetingCutShort(stage, undefined));
      case 'closed':
        throw this.refuse(greetingCutShort(stage, answer.error));
    }
  }
}

function readMethod(bytes: Buffer, proxy: NextProxy): Reply<number> | undefined {
  requireVersion(bytes[0], VERSION);
  const method = bytes[1];
  if (method === undefined) return undefined;
  if (method === NO_CREDENTIALS || (method === USERNAME_PASSWORD && proxy.credentials !== undefined))
    return { value: method, length: 2 };
  if (method === NONE_ACCEPTABLE || method === USERNAME_PASSWORD) {
    throw new GreetingFault(
      proxy.credentials === undefined
        ? {
            detail: `socks5: the next proxy asks for credentials, and ${proxy.source} has none`,
            sentence: `asks for a user name and password: set username and password of ${proxy.source}`,
          }
        : {
            detail: 'socks5: the next proxy takes none of the methods offered',
            sentence: 'takes neither no credentials nor a user name and password',
          },
    );
  }
  throw garbage(`method ${method}`);
}

function readCredentialsReply(bytes: Buffer, proxy: NextProxy): Reply<undefined> | undefined {
  requireVersion(bytes[0], AUTH_VERSION);
  if (bytes.length < 2) return undefined;
  if (bytes[1] === 0) return { value: undefined, length: 2 };
  throw new GreetingFault({
    detail: `socks5: the next proxy did not accept the credentials of ${proxy.source}`,
    sentence: `did not accept the user name and password of ${proxy.source}`,
  });
}

function readReply(bytes: Buffer): Reply<undefined> | undefined {
  requireVersion(bytes[0], VERSION);
  const code = bytes[1];
  if (code === undefined) return undefined;
  // A proxy that says no may hang up without the rest of its reply.
  if (code !== 0) {
    const [label, sentence] = replies[code] ?? [`unknown_${code}`, `answered with the unknown code ${code}`];
    throw new GreetingFault({ detail: `socks5: ${label}`, sentence });
  }
  const [, , , type, first] = bytes;
  if (type === undefined) return undefined;
  if (type !== IPV4 && type !== IPV6 && type !== NAME) throw garbage(`address type ${type}`);
  if (first === undefined) return undefined;
  const length = 4 + (type === IPV4 ? 4 : type === IPV6 ? 16 : 1 + first) + 2;
  return bytes.length < length ? undefined : { value: undefined, length };
}

function requireVersion(version: number | undefined, expected: number): void {
  if (version !== undefined && version !== expected) throw garbage(`version ${version}`);
}

function garbage(what: string): GreetingFault {
  return new GreetingFault({ detail: `socks5: invalid data: ${what}`, sentence: 'does not speak SOCKS5' });
}

/** The request for a target. A canonical name has at most 253 bytes, all of them ASCII. */
function connectRequest({ host, port }: Authority): Buffer {
  const head = [VERSION, CONNECT, 0];
  const portBytes = [port >> 8, port & 255];
  switch (hostKind(host)) {
    case 'ipv4':
      return Buffer.from([...head, IPV4, ...host.split('.').map(Number), ...portBytes]);
    case 'ipv6': {
      // A zone means something on this machine only.
      const groups = parseIpv6(host.split('%', 1)[0] ?? host) ?? [];
      return Buffer.from([
        ...head,
        IPV6,
        ...groups.flatMap((group) => [group >> 8, group & 255]),
        ...portBytes,
      ]);
    }
    case 'name': {
      const name = Buffer.from(host, 'latin1');
      return Buffer.concat([Buffer.from([...head, NAME, name.length]), name, Buffer.from(portBytes)]);
    }
  }
}
