// The greeting of a SOCKS5 proxy: what is sent, what each answer leads to, and whose the bytes behind it are.
import { Failure, nextProxy, type NextProxy } from 'mitm-core';
import type { Authority } from 'mitm-http';
import { describe, expect, test } from 'vitest';

import { linkedPair } from '../../../../testing/lab/linked-pair.ts';
import { greetSocks5 } from '../../src/upstream/socks5.ts';
import { Wire } from '../../src/wire.ts';
import { record } from '../streams.ts';

const target: Authority = { host: 'example.org', port: 443 };
const accepted = [5, 0];
const connected = [5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
const credentials = { username: 'ann', password: 'pä' };

function proxyWith(given: { username?: string; password?: string } = {}): NextProxy {
  return nextProxy('socks5', { host: 'socks.test', port: 1080, ...given }, 'upstreamSocks5Proxy');
}

interface Greeted {
  /** What the proxy was sent, step by step. */
  readonly sent: readonly (readonly number[])[];
  readonly failure: Failure | undefined;
  readonly wire: Wire;
}

/** A proxy that answers each thing it is sent with the next of these; `end` hangs up. */
async function greet(
  answers: readonly (readonly number[] | 'end' | 'break')[],
  given: { proxy?: NextProxy; target?: Authority; timeoutMs?: number } = {},
): Promise<Greeted> {
  const [ours, theirs] = linkedPair();
  const wire = new Wire(ours);
  const sent: number[][] = [];
  const queue = [...answers];
  theirs.on('error', () => {});
  theirs.on('data', (chunk: Buffer) => {
    sent.push([...chunk]);
    const next = queue.shift();
    if (next === 'end') theirs.end();
    else if (next === 'break') theirs.destroy();
    else if (next !== undefined) theirs.write(Buffer.from(next));
  });
  const { proxy = proxyWith(), timeoutMs = 5_000 } = given;
  try {
    await greetSocks5(wire, proxy, given.target ?? target, { timeoutMs });
    return { sent, failure: undefined, wire };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return { sent, failure: error, wire };
  }
}

describe('what is sent (RFC 1928 §3, §4)', () => {
  test.each([
    ['a name', target, [3, 11, ...Buffer.from('example.org'), 1, 187]],
    ['an IPv4 address', { host: '192.0.2.7', port: 80 }, [1, 192, 0, 2, 7, 0, 80]],
    [
      'an IPv6 address',
      { host: '2001:db8::1', port: 65_535 },
      [4, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 255, 255],
    ],
    [
      'an address with a zone',
      { host: '::1%eth0', port: 1 },
      [4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1],
    ],
  ])('%s', async (_what, wanted, bytes) => {
    const { sent, failure } = await greet([accepted, connected], { target: wanted });
    expect(failure).toBeUndefined();
    expect(sent).toEqual([
      [5, 1, 0],
      [5, 1, 0, ...bytes],
    ]);
  });

  test('credentials, in UTF-8, where the proxy chooses them (RFC 1929)', async () => {
    const { sent, failure } = await greet([[5, 2], [1, 0], connected], { proxy: proxyWith(credentials) });
    expect(failure).toBeUndefined();
    expect(sent.slice(0, 2)).toEqual([
      [5, 2, 0, 2],
      [1, 3, ...Buffer.from('ann'), 3, ...Buffer.from('pä')],
    ]);
  });

  test('no credentials to a proxy that does not want them', async () => {
    const { sent, failure } = await greet([accepted, connected], { proxy: proxyWith(credentials) });
    expect(failure).toBeUndefined();
    expect(sent).toHaveLength(2);
  });
});

describe('answers that let us through', () => {
  test.each([
    ['an IPv4 address', connected],
    ['an IPv6 address', [5, 0, 0, 4, ...Array.from({ length: 18 }, () => 0)]],
    ['a name', [5, 0, 0, 3, 2, 97, 98, 0, 80]],
  ])('with %s, and what follows is the target’s', async (_what, reply) => {
    const { wire, failure } = await greet([accepted, [...reply, 83, 83, 72]]);
    expect(failure).toBeUndefined();
    expect(wire.heldBytes).toBe(3);
    expect(record(wire).bytes.toString()).toBe('SSH');
  });

  test('in single bytes', async () => {
    const [ours, theirs] = linkedPair();
    const wire = new Wire(ours);
    const greeting = greetSocks5(wire, proxyWith(), target, { timeoutMs: 5_000 });
    for (const byte of [...accepted, ...connected]) {
      theirs.write(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await greeting;
    expect(wire.heldBytes).toBe(0);
  });
});

interface Refusal {
  readonly rule: string;
  readonly answers: readonly (readonly number[] | 'end' | 'break')[];
  readonly detail: string | RegExp;
  readonly status?: number;
  readonly sentence: RegExp;
  readonly proxy?: NextProxy;
}

const code = (value: number, label: string, sentence: RegExp): Refusal => ({
  rule: `reply ${value}`,
  answers: [accepted, [5, value, 0, 1, 0, 0, 0, 0, 0, 0]],
  detail: `socks5: ${label}`,
  sentence,
});

const refusals: readonly Refusal[] = [
  code(1, 'general_failure', /could not do it/),
  code(2, 'ruleset_blocked', /does not allow it/),
  code(3, 'network_unreachable', /network unreachable/),
  code(4, 'host_unreachable', /host unreachable/),
  code(5, 'connection_refused', /was refused the connection/),
  code(6, 'ttl_expired', /way too long/),
  code(7, 'command_unsupported', /no CONNECT/),
  code(8, 'address_type_unsupported', /kind of address/),
  code(9, 'unknown_9', /unknown code 9/),
  {
    rule: 'a refusal that is cut short',
    answers: [accepted, [5, 5]],
    detail: 'socks5: connection_refused',
    sentence: /was refused/,
  },
  {
    rule: 'another version',
    answers: [[4, 0]],
    detail: 'socks5: invalid data: version 4',
    sentence: /not speak SOCKS5/,
  },
  {
    rule: 'an answer in HTTP',
    answers: [[...Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')]],
    detail: 'socks5: invalid data: version 72',
    sentence: /not speak SOCKS5/,
  },
  {
    rule: 'a method that was not offered',
    answers: [[5, 1]],
    detail: 'socks5: invalid data: method 1',
    sentence: /not speak SOCKS5/,
  },
  {
    rule: 'another version in the reply',
    answers: [accepted, [0, 0]],
    detail: 'socks5: invalid data: version 0',
    sentence: /not speak SOCKS5/,
  },
  {
    rule: 'an unknown kind of address in the reply',
    answers: [accepted, [5, 0, 0, 9, 0]],
    detail: 'socks5: invalid data: address type 9',
    sentence: /not speak SOCKS5/,
  },
  {
    rule: 'credentials wanted that nobody has',
    answers: [[5, 255]],
    detail: 'socks5: the next proxy asks for credentials, and upstreamSocks5Proxy has none',
    sentence: /set username and password of upstreamSocks5Proxy/,
  },
  {
    rule: 'credentials chosen that were not offered',
    answers: [[5, 2]],
    detail: 'socks5: the next proxy asks for credentials, and upstreamSocks5Proxy has none',
    sentence: /asks for a user name and password/,
  },
  {
    rule: 'none of the methods will do',
    answers: [[5, 255]],
    proxy: proxyWith(credentials),
    detail: 'socks5: the next proxy takes none of the methods offered',
    sentence: /takes neither/,
  },
  {
    rule: 'credentials not accepted',
    answers: [
      [5, 2],
      [1, 1],
    ],
    proxy: proxyWith(credentials),
    detail: 'socks5: the next proxy did not accept the credentials of upstreamSocks5Proxy',
    sentence: /did not accept the user name and password/,
  },
  {
    rule: 'another version in the answer to credentials',
    answers: [
      [5, 2],
      [5, 0],
    ],
    proxy: proxyWith(credentials),
    detail: 'socks5: invalid data: version 5',
    sentence: /not speak SOCKS5/,
  },
  {
    rule: 'the end before a method',
    answers: ['end'],
    detail: /ended the connection: socks5_method$/,
    sentence: /ended/,
  },
  {
    rule: 'the end within the reply',
    answers: [accepted, 'end'],
    detail: /ended the connection: socks5_connect$/,
    sentence: /ended the connection/,
  },
  {
    rule: 'a broken connection',
    answers: ['break'],
    detail: /ended the connection: socks5_method/,
    sentence: /ended/,
  },
  {
    rule: 'silence',
    answers: [],
    detail: 'stream_stage_timeout:socks5_method:50ms',
    sentence: /did not answer in time/,
    status: 504,
  },
  {
    rule: 'silence after the method',
    answers: [accepted],
    detail: 'stream_stage_timeout:socks5_connect:50ms',
    sentence: /did not answer in time/,
    status: 504,
  },
];

describe('answers that do not', () => {
  test.each(refusals)('$rule', async ({ answers, detail, sentence, status = 502, proxy = proxyWith() }) => {
    const { failure } = await greet(answers, { proxy, timeoutMs: status === 504 ? 50 : 5_000 });
    expect(failure).toMatchObject({ reason: 'upstream_connect_failed', side: 'upstream', reply: { status } });
    const told = failure?.detail?.replace('upstream_connect_failed[upstream_socks5]: ', '');
    expect(told).toMatch(detail);
    expect(String(failure?.reply?.body)).toMatch(sentence);
    expect(String(failure?.reply?.body)).toMatch(/^the proxy could not reach example\.org: the next proxy /);
  });

  test('never show a password', async () => {
    const { failure } = await greet(
      [
        [5, 2],
        [1, 1],
      ],
      { proxy: proxyWith(credentials) },
    );
    expect(`${failure?.detail} ${String(failure?.reply?.body)}`).not.toContain('pä');
  });
});
