// The greeting of an HTTP proxy: what is sent, what each answer leads to, and whose the bytes behind it are.
import { Failure, nextProxy, type NextProxy } from 'mitm-core';
import type { Authority } from 'mitm-http';
import { describe, expect, test } from 'vitest';

import { linkedPair } from '../../../../testing/lab/linked-pair.ts';
import { greetHttpProxy, proxyFields } from '../../src/upstream/http-proxy.ts';
import { Wire } from '../../src/wire.ts';
import { record } from '../streams.ts';

const target: Authority = { host: 'example.org', port: 443 };

function proxyWith(given: { username?: string; password?: string } = {}): NextProxy {
  return nextProxy('http', { host: 'proxy.test', port: 3128, ...given }, 'upstreamHttpProxy');
}

interface Greeted {
  readonly sent: string;
  readonly failure: Failure | undefined;
  readonly wire: Wire;
}

/** A proxy that answers with this once it was asked; `end` and `break` hang up, undefined keeps silent. */
async function greet(
  answer: string | { readonly hangsUp: 'end' | 'break' } | undefined,
  given: { proxy?: NextProxy; target?: Authority; timeoutMs?: number; fields?: string } = {},
): Promise<Greeted> {
  const [ours, theirs] = linkedPair();
  const wire = new Wire(ours);
  let sent = '';
  theirs.on('error', () => {});
  theirs.on('data', (chunk: Buffer) => {
    sent += chunk.toString('latin1');
    if (!sent.endsWith('\r\n\r\n')) return;
    if (typeof answer === 'string') theirs.write(answer, 'latin1');
    else if (answer?.hangsUp === 'end') theirs.end();
    else if (answer?.hangsUp === 'break') theirs.destroy();
  });
  const { proxy = proxyWith(), timeoutMs = 5_000, fields } = given;
  try {
    await greetHttpProxy(wire, proxy, given.target ?? target, { timeoutMs, fields });
    return { sent, failure: undefined, wire };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return { sent, failure: error, wire };
  }
}

const ok = 'HTTP/1.1 200 Connection established\r\n\r\n';

describe('what is sent', () => {
  test.each([
    ['a name', target, 'example.org:443'],
    ['an IPv4 address', { host: '192.0.2.7', port: 8_443 }, '192.0.2.7:8443'],
    ['an IPv6 address, in brackets', { host: '2001:db8::1', port: 443 }, '[2001:db8::1]:443'],
  ])('%s', async (_what, wanted, authority) => {
    const { sent, failure } = await greet(ok, { target: wanted });
    expect(failure).toBeUndefined();
    expect(sent).toBe(
      `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\nProxy-Connection: keep-alive\r\n\r\n`,
    );
  });

  test('credentials and further lines', async () => {
    const proxy = proxyWith({ username: 'Aladdin', password: 'open sesame' });
    const { sent } = await greet(ok, { proxy, fields: 'Via: 1.1 me\r\n' });
    expect(sent).toContain(
      '\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\nVia: 1.1 me\r\n\r\n',
    );
  });

  test('credentials beyond ASCII in UTF-8 (RFC 7617 §2.1)', () => {
    expect(proxyFields(proxyWith({ username: 'test', password: '123£' }))).toBe(
      'Proxy-Authorization: Basic dGVzdDoxMjPCow==\r\n',
    );
    expect(proxyFields(proxyWith())).toBe('');
  });
});

describe('answers that let us through', () => {
  test.each([
    ['200', ok],
    ['another 2xx', 'HTTP/1.1 204 Fine\r\n\r\n'],
    ['HTTP/1.0', 'HTTP/1.0 200 Connection established\r\nProxy-agent: x\r\n\r\n'],
    ['a length that means nothing here (RFC 9110 §9.3.6)', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'],
    ['an interim answer before it', `HTTP/1.1 103 Early Hints\r\n\r\n${ok}`],
  ])('%s, and what follows is the target’s', async (_what, answer) => {
    const { wire, failure } = await greet(`${answer}SSH-2.0-x\r\n`);
    expect(failure).toBeUndefined();
    expect(record(wire).bytes.toString()).toBe('SSH-2.0-x\r\n');
  });

  test('in single bytes', async () => {
    const [ours, theirs] = linkedPair();
    const wire = new Wire(ours);
    const greeting = greetHttpProxy(wire, proxyWith(), target, { timeoutMs: 5_000 });
    for (const byte of Buffer.from(ok)) {
      theirs.write(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await greeting;
    expect(wire.heldBytes).toBe(0);
  });
});

const basic = 'HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm="lab, x"\r\nContent-Length: 0\r\n\r\n';
const known = proxyWith({ username: 'ann', password: 'secret' });

interface Refusal {
  readonly rule: string;
  readonly answer: Parameters<typeof greet>[0];
  readonly detail: string | RegExp;
  readonly sentence: string | RegExp;
  readonly status?: number;
  readonly proxy?: NextProxy;
}

const refusals: readonly Refusal[] = [
  {
    rule: '403',
    answer: 'HTTP/1.1 403 Forbidden\r\n\r\n',
    detail: 'the next proxy answered 403',
    sentence: 'answered 403',
  },
  {
    rule: '502 with a body',
    answer: 'HTTP/1.1 502 Bad Gateway\r\nContent-Length: 5\r\n\r\nhello',
    detail: 'the next proxy answered 502',
    sentence: 'answered 502',
  },
  {
    rule: '504 stays what it is',
    answer: 'HTTP/1.1 504 Late\r\n\r\n',
    detail: 'the next proxy answered 504',
    sentence: 'had no answer in time (504)',
    status: 504,
  },
  {
    rule: '508 stays what it is',
    answer: 'HTTP/1.1 508 Loop Detected\r\n\r\n',
    detail: 'the next proxy answered 508',
    sentence: 'answered 508',
    status: 508,
  },
  {
    rule: 'a redirection is no tunnel',
    answer: 'HTTP/1.1 302 Found\r\nLocation: http://login.test/\r\n\r\n',
    detail: 'the next proxy answered 302',
    sentence: 'answered 302',
  },
  {
    rule: 'a switch of protocols is none either',
    answer: 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n',
    detail: 'the next proxy answered 101',
    sentence: 'answered 101',
  },
  {
    rule: '407 without credentials says which are missing',
    answer: basic,
    detail: '407: the next proxy asks for Basic, and upstreamHttpProxy has none',
    sentence: 'asks for a user name and password (407): set username and password of upstreamHttpProxy',
  },
  {
    rule: '407 with credentials says that they will not do',
    answer: basic,
    proxy: known,
    detail: '407: the next proxy did not accept the credentials of upstreamHttpProxy',
    sentence: 'did not accept the user name and password of upstreamHttpProxy (407)',
  },
  {
    rule: '407 for a scheme that is not spoken',
    answer: 'HTTP/1.1 407 Who\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM\r\n\r\n',
    proxy: known,
    detail: /^407: the next proxy asks for Negotiate(, NTLM)?, and only Basic is spoken here$/,
    sentence: /asks for Negotiate.* \(407\), and only Basic can be sent/,
  },
  {
    rule: '407 for one of several schemes',
    answer:
      'HTTP/1.1 407 Who\r\nProxy-Authenticate: Digest realm="a, Basic b", nonce="x", Basic realm="y"\r\n\r\n',
    detail: /^407: the next proxy asks for .*Basic.*, and upstreamHttpProxy has none$/,
    sentence: /set username and password/,
  },
  {
    rule: '407 that asks for nothing in particular',
    answer: 'HTTP/1.1 407 Who\r\n\r\n',
    detail: '407: the next proxy asks for credentials, and upstreamHttpProxy has none',
    sentence: /set username and password/,
  },
  {
    rule: 'something else than HTTP',
    answer: 'SSH-2.0-OpenSSH\r\n',
    detail: /^the next proxy's answer can't be read: invalid_status_line: /,
    sentence: 'sent an answer that is not valid HTTP',
  },
  {
    rule: 'a head that can’t be read',
    answer: 'HTTP/1.1 2000 OK\r\n\r\n',
    detail: /^the next proxy's answer can't be read: /,
    sentence: 'sent an answer that is not valid HTTP',
  },
  {
    rule: 'a head beyond 64 KiB',
    answer: `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(65_536)}`,
    detail: /head_too_large/,
    sentence: 'sent an answer that is not valid HTTP',
  },
  {
    rule: 'the end instead of an answer',
    answer: { hangsUp: 'end' },
    detail: 'the next proxy ended the connection: upstream_http_connect',
    sentence: 'ended the connection',
  },
  {
    rule: 'a broken connection',
    answer: { hangsUp: 'break' },
    detail: /^the next proxy ended the connection: upstream_http_connect/,
    sentence: 'ended the connection',
  },
  {
    rule: 'silence',
    answer: undefined,
    detail: 'stream_stage_timeout:upstream_http_connect:50ms',
    sentence: 'did not answer in time',
    status: 504,
  },
];

describe('answers that do not', () => {
  test.each(refusals)('$rule', async ({ answer, detail, sentence, status = 502, proxy = proxyWith() }) => {
    const { failure } = await greet(answer, { proxy, timeoutMs: answer === undefined ? 50 : 5_000 });
    expect(failure).toMatchObject({ reason: 'upstream_connect_failed', side: 'upstream', reply: { status } });
    const told = failure?.detail?.replace('upstream_connect_failed[upstream_http]: ', '');
    expect(told).toMatch(detail);
    const body = String(failure?.reply?.body).replace(
      'the proxy could not reach example.org: the next proxy ',
      '',
    );
    expect(body).toMatch(sentence);
    expect(`${told} ${body}`).not.toContain('secret');
  });
});

test('a head of exactly 64 KiB is read', async () => {
  const head = `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(65_536 - 'HTTP/1.1 200 OK\r\nX: \r\n\r\n'.length)}\r\n\r\n`;
  expect(head).toHaveLength(65_536);
  const { failure } = await greet(head);
  expect(failure).toBeUndefined();
});
