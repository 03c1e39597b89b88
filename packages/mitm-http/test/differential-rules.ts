// Where we and llhttp may differ about a request, and why. A difference that no row explains is a fault of one of the two.
import type { Verdict } from './reference-server.ts';

/** What two readers made of the same bytes. */
export interface Comparison {
  readonly text: string;
  readonly ours: Verdict;
  readonly theirs: Verdict;
}

export interface DifferenceRule {
  /** The shortest request that shows it. */
  readonly example: string;
  readonly reason: string;
  /** The code with which we refuse what they take; without it they refuse what we take. */
  readonly ours?: string;
  /** The code with which they refuse what we take. */
  readonly theirs?: string;
  /** What the bytes must look like for this reason to hold. */
  readonly pattern: RegExp;
}

const get = 'GET / HTTP/1.1\r\nHost: a.test\r\n';
const chunked = `${get}Transfer-Encoding: chunked\r\n\r\n`;
const last = '0\r\n\r\n';

/** Where llhttp before 9.4, which comes with older releases of Node 22, reads otherwise than the present one. */
const olderRules: Readonly<Record<string, DifferenceRule>> = {
  'an empty Transfer-Encoding': {
    example: `${get}Transfer-Encoding:\r\n\r\n`,
    reason:
      'llhttp took an empty list of codings for none; a reader that takes it for chunked reads another body',
    ours: 'invalid_transfer_encoding',
    pattern: /^Transfer-Encoding:[\t ]*\r/m,
  },
  'a tab behind a length': {
    example: `${get}Content-Length: 2\t\r\n\r\nab`,
    reason: 'white space around a value is no part of it (RFC 9110 §5.5); llhttp took only spaces for that',
    theirs: 'HPE_INVALID_CONTENT_LENGTH',
    pattern: /^Content-Length:[\t ]*\d+ *\t[\t ]*\r/m,
  },
};
const [major = 0, minor = 0] = (process.versions['llhttp'] ?? '').split('.').map(Number);
const isOlder = major < 9 || (major === 9 && minor < 4);

/** By name. */
export const differenceRules: Readonly<Record<string, DifferenceRule>> = {
  ...(isOlder ? olderRules : {}),
  'method beyond the known ones': {
    example: 'get / HTTP/1.1\r\nHost: a.test\r\n\r\n',
    reason: 'any token is a method (RFC 9110 §9.1), and an origin may know it; llhttp has a list',
    theirs: 'HPE_INVALID_METHOD',
    pattern: /^(?:\r\n)*(?:FOO|get) /,
  },
  'equal lengths on several lines': {
    example: `${get}Content-Length: 2\r\nContent-Length: 2\r\n\r\nab`,
    reason: 'RFC 9112 §6.3 allows to take equal lengths for one; one is sent on',
    theirs: 'HPE_UNEXPECTED_CONTENT_LENGTH',
    pattern: /^Content-Length:[^]*^Content-Length:/m,
  },
  'a list of equal lengths': {
    example: `${get}Content-Length: 2, 2\r\n\r\nab`,
    reason: 'RFC 9110 §8.6 allows to take equal lengths for one; one is sent on',
    theirs: 'HPE_INVALID_CONTENT_LENGTH',
    pattern: /^Content-Length: 5, 5\r|^Content-Length: 2, 2\r/m,
  },
  'space before a chunk extension': {
    example: `${chunked}2 ;a=b\r\nab\r\n${last}`,
    reason: 'RFC 9112 §7.1.1 has white space there that a reader must take; extensions are not sent on',
    theirs: 'HPE_INVALID_CHUNK_SIZE',
    pattern: /\r\n[\da-f]+ ;/,
  },
  'the inside of a chunk extension': {
    example: `${chunked}2; a = b\r\nab\r\n${last}`,
    reason: 'extensions are skipped up to their CR LF without control bytes, and are not sent on',
    theirs: 'HPE_STRICT',
    pattern: /\r\n[\da-f]+;/,
  },
  'a coding before chunked': {
    example: `${get}Transfer-Encoding: gzip, chunked\r\n\r\n${last}`,
    reason: 'a coding that one reader knows and another skips frames two ways',
    ours: 'unknown_transfer_coding',
    pattern: /^Transfer-Encoding:(?!\s*chunked ?\r)/im,
  },
  'an empty member before chunked': {
    example: `${get}Transfer-Encoding: ,chunked\r\n\r\n${last}`,
    reason: 'an empty member may hide a coding',
    ours: 'invalid_transfer_encoding',
    pattern: /^Transfer-Encoding: ,chunked\r/m,
  },
  'chunks in HTTP/1.0': {
    example: `POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n${last}`,
    reason: 'the framing is faulty (RFC 9112 §6.1)',
    ours: 'transfer_encoding_in_http_1_0',
    pattern: /HTTP\/1\.0\r\n/,
  },
  'more than 16 digits in a chunk size': {
    example: `${chunked}00000000000000002\r\nab\r\n${last}`,
    reason: 'a size beyond 64 bits wraps somewhere, and leading zeros are no use to anybody',
    ours: 'invalid_chunk',
    pattern: /\r\n0\d{16,}\r\n/,
  },
  'a trailer that routes': {
    example: `${chunked}0\r\nHost: b.test\r\n\r\n`,
    reason: 'a trailer that is merged into the head changes it (RFC 9110 §6.5.1)',
    ours: 'forbidden_trailer',
    pattern: /\r\n0\r\nHost: b\.test\r\n\r\n$/,
  },
  'two Host fields': {
    example: `${get}Host: b.test\r\n\r\n`,
    reason: 'one reader routes by the first, another by the last (RFC 9112 §3.2)',
    ours: 'duplicate_host',
    pattern: /^Host:[^]*^Host:/m,
  },
  'a Host that is no host': {
    example: 'GET / HTTP/1.1\r\nHost: a, b\r\n\r\n',
    reason: 'RFC 9112 §3.2; llhttp does not look into values',
    ours: 'invalid_host',
    pattern: /^Host:(?! [ab]\.test\r)/m,
  },
  'a field for the origin named in Connection': {
    example: `${get}Connection: host\r\n\r\n`,
    reason: 'a proxy would remove it (RFC 9110 §7.6.1); a server need not care',
    ours: 'forbidden_connection_option',
    pattern: /^Connection: (?:host|content-length)\r/m,
  },
  'an expectation besides 100-continue': {
    example: `${get}Expect: 100-continue\r\nExpect: 200-ok\r\n\r\n`,
    reason:
      'each expectation must be one that can be met (RFC 9110 §10.1.1); Node looks for the one it knows',
    ours: 'unknown_expectation',
    pattern: /^Expect: 200-ok\r/m,
  },
  'another version than 1.0 and 1.1': {
    example: 'GET / HTTP/2.0\r\nHost: a.test\r\n\r\n',
    reason: 'HTTP/0.9 and HTTP/2 have other forms of message',
    ours: 'unsupported_http_version',
    pattern: /HTTP\/(?:2\.0|0\.9)\r\n/,
  },
  'more than one space in the request line': {
    example: 'GET  / HTTP/1.1\r\nHost: a.test\r\n\r\n',
    reason: 'one SP between the parts (RFC 9112 §3): a log or a rule that splits there sees another target',
    ours: 'invalid_request_line',
    pattern: /^(?:\r\n)*[A-Z]+ (?: |[^ \r\n]+ {2})/,
  },
  'many empty lines before a request': {
    example: `${'\r\n'.repeat(5)}${get}\r\n`,
    reason: 'one is to be skipped (RFC 9112 §2.2), four are; a stream of them is no request',
    ours: 'invalid_request_line',
    pattern: /^(?:\r\n){5}/,
  },
  'a line feed before a request': {
    example: `\n${get}\r\n`,
    reason: 'an empty line is CR LF',
    ours: 'bare_line_feed',
    pattern: /^\n/,
  },
  'a target of none of the four forms': {
    example: 'GET http://u@a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n',
    reason:
      'user information, fragments, and * outside OPTIONS name nothing that can be asked for (RFC 9112 §3.2)',
    ours: 'invalid_target',
    pattern: /^(?:\r\n)*[A-Z]+ (?:\S*@|\S*#|\*)/,
  },
  'a scheme that no proxy here serves': {
    example: 'GET ftp://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n',
    reason: 'llhttp reads targets without asking what for',
    ours: 'unsupported_scheme',
    pattern: /^(?:\r\n)*[A-Z]+ ftp:/,
  },
};

/** Whether both readers took the message for the same one, or both refused it. */
export function isSame({ ours, theirs }: Comparison): boolean {
  if (!ours.isAccepted || !theirs.isAccepted) return ours.isAccepted === theirs.isAccepted;
  return ours.method === theirs.method && ours.target === theirs.target && ours.body === theirs.body;
}

/** Whether this row is the reason of a difference. Two readings of one message are never explained. */
export function isExplainedBy(rule: DifferenceRule, { text, ours, theirs }: Comparison): boolean {
  if (ours.isAccepted === theirs.isAccepted || !rule.pattern.test(text)) return false;
  if (!ours.isAccepted) return rule.ours === ours.code;
  return !theirs.isAccepted && rule.theirs === theirs.code;
}
