import fc from 'fast-check';
import { AuthorityError } from 'mitm-http';
import { describe, expect, test } from 'vitest';

import {
  DestinationError,
  destinationErrorCodes,
  parseDestination,
  parseHostRule,
  type DestinationErrorCode,
} from '../src/destination.ts';

function refusal(parse: (text: string) => unknown, text: string): DestinationError {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof DestinationError) return error;
    throw error;
  }
  throw new Error(`${text} was accepted`);
}

describe('a destination is a host and a port', () => {
  test.each([
    ['CP-29 case and surrounding space make no difference', '  API.Example.ORG:443 ', 'api.example.org', 443],
    [
      'CP-30 an IPv6 address loses its brackets and gets its canonical form',
      '[2001:DB8:0:0::1]:8443',
      '2001:db8::1',
      8443,
    ],
    ['an IPv4 address is a host', '127.0.0.1:80', '127.0.0.1', 80],
    ['a final dot makes no difference', 'example.org.:443', 'example.org', 443],
    ['names beyond ASCII become A-labels', 'Bücher.example:443', 'xn--bcher-kva.example', 443],
    ['the greatest port', 'example.org:65535', 'example.org', 65_535],
    ['the least port', 'example.org:1', 'example.org', 1],
    ['a star is every port', 'example.org:*', 'example.org', '*'],
    ['a star is every port of an address too', '[::1]:*', '::1', '*'],
  ])('%s', (_rule, text, host, port) => {
    expect(parseDestination(text)).toEqual({ kind: 'exact', host, port, text });
  });

  test.each([
    ['CP-33 a star anywhere makes a pattern', 'x*.example.org:443', 'x*.example.org', 443],
    ['a leading star and dot is what lies below', '*.Example.org:443', '*.example.org', 443],
    ['a star alone is every host', '*:443', '*', 443],
    ['everything must be said', '*:*', '*', '*'],
    ['stars in a row are one', '**.example.org:443', '*.example.org', 443],
    ['a final dot makes no difference', '*.example.org.:443', '*.example.org', 443],
    ['several stars', 'a*.b-*.example_x.org:1', 'a*.b-*.example_x.org', 1],
    ['whole labels beyond ASCII become A-labels', '*.Bücher.example:443', '*.xn--bcher-kva.example', 443],
  ])('pattern: %s', (_rule, text, host, port) => {
    expect(parseDestination(text)).toEqual({ kind: 'pattern', host, port, text });
  });
});

describe('what is refused says how to write it', () => {
  const rows: readonly (readonly [string, string, DestinationErrorCode, string])[] = [
    ['nothing', '', 'empty_entry', 'HOST:PORT'],
    ['blanks', '  \t', 'empty_entry', 'HOST:PORT'],
    ['a URL', 'https://example.org', 'url_given', 'only its host and port'],
    ['no port', 'example.org', 'missing_port', '"example.org:443"'],
    ['no port after an address', '[::1]', 'missing_port', '"[::1]:443"'],
    ['nothing after the colon', 'example.org:', 'missing_port', 'give a port'],
    ['no colon after the bracket', '[::1]443', 'missing_port', '"[::1]:443"'],
    ['CP-32 port 0', 'example.org:0', 'zero_port', 'from 1 to 65535'],
    ['port 00000', 'example.org:00000', 'zero_port', 'from 1 to 65535'],
    ['a port beyond 16 bits', 'example.org:65536', 'invalid_port', '"65536"'],
    ['a port of six digits', 'example.org:000443', 'invalid_port', '"000443"'],
    ['a signed port', 'example.org:+443', 'invalid_port', '"+443"'],
    ['a port by name', 'example.org:https', 'invalid_port', '"https"'],
    ['a port pattern', 'example.org:4*', 'invalid_port', '"4*"'],
    ['a space before the port', 'example.org: 443', 'invalid_port', '" 443"'],
    ['no host', ':443', 'empty_host', '"*" stands for every host'],
    ['empty brackets', '[]:443', 'empty_host', '"*" stands for every host'],
    ['CP-31 an IPv6 address without brackets', '2001:db8::1:443', 'unbracketed_ipv6', '"[2001:db8::1]:443"'],
    ['an open bracket', '[::1:443', 'malformed_ipv6', 'never closes'],
    ['a name in brackets', '[example.org]:443', 'malformed_ipv6', 'in brackets'],
    ['something like an IPv6 address', '[::g]:443', 'malformed_ipv6', 'in brackets'],
    ['a star in brackets', '[*]:443', 'malformed_ipv6', 'in brackets'],
    ['a star in an IPv6 address', '[2001:db8::*]:443', 'malformed_ipv6', 'in brackets'],
    ['a host with a space', 'exa mple.org:443', 'invalid_host', 'host name'],
    ['a user', 'user@example.org:443', 'invalid_host', 'host name'],
    ['half an IPv4 address', '127.1:443', 'invalid_host', 'IPv4'],
    ['an empty label', 'a..example.org:443', 'invalid_host', 'host name'],
    ['an empty label in a pattern', '*..example.org:443', 'invalid_host', 'one dot between labels'],
    ['a star and a final dot, which is not every host', '*.:443', 'invalid_host', 'one dot between labels'],
    ['a foreign character in a pattern', '*.exa/mple.org:443', 'invalid_host', 'letters, digits'],
    ['a star among letters beyond ASCII', 'b*ü.example:443', 'invalid_host', 'xn--'],
    ['letters beyond ASCII that make no label', '*.\u00AD.example:443', 'invalid_host', 'host name'],
    ['a star glued to a name takes other names', '*example.org:443', 'loose_wildcard', '"*.example.org"'],
    ['a star glued with a hyphen does too', '*-example.org:443', 'loose_wildcard', '"*.example.org"'],
  ];

  test.each(rows)('%s', (_rule, text, code, fix) => {
    const error = refusal(parseDestination, text);
    expect(error.code).toBe(code);
    expect(error.text).toBe(text);
    expect(error.message).toContain(JSON.stringify(text));
    expect(error.message).toContain(fix);
  });

  test('the refusal of an authority is kept as the cause', () => {
    expect(refusal(parseDestination, 'exa mple.org:443').cause).toBeInstanceOf(AuthorityError);
  });

  test('each code but that of an empty list has a row', () => {
    const seen = new Set(rows.map(([, , code]) => code));
    expect(destinationErrorCodes.filter((code) => !seen.has(code))).toEqual(['empty_list']);
  });
});

describe('a host rule may leave out the port', () => {
  test.each([
    ['a name', 'Example.org', 'exact', 'example.org', '*'],
    ['a name and port', 'example.org:8443', 'exact', 'example.org', 8443],
    ['an IPv4 address', '10.0.0.1', 'exact', '10.0.0.1', '*'],
    ['an IPv6 address', '[0:0::1]', 'exact', '::1', '*'],
    ['an IPv6 address and port', '[::1]:443', 'exact', '::1', 443],
    ['a pattern', '*.example.org', 'pattern', '*.example.org', '*'],
    ['every host', '*', 'pattern', '*', '*'],
  ])('%s', (_rule, text, kind, host, port) => {
    expect(parseHostRule(text)).toEqual({ kind, host, port, text });
  });

  test.each([
    ['an unbracketed address is as ambiguous as in a destination', '::1', 'unbracketed_ipv6'],
    ['a colon promises a port', 'example.org:', 'missing_port'],
    ['port 0', 'example.org:0', 'zero_port'],
    ['a glued star', '*example.org', 'loose_wildcard'],
  ])('refused: %s', (_rule, text, code) => {
    expect(refusal(parseHostRule, text).code).toBe(code);
  });
});

function outcome(text: string): unknown {
  try {
    return parseDestination(text);
  } catch (error) {
    return error;
  }
}

test('any text is either refused with a code or read, and what was read is read again as the same', () => {
  const tricky = fc.string({
    unit: fc.constantFrom('a', 'B', '*', '.', ':', '[', ']', '1', '-', '%', 'ü', ' '),
  });
  fc.assert(
    fc.property(fc.oneof(fc.string(), tricky), (text) => {
      const result = outcome(text);
      if (result instanceof DestinationError) return;
      const { kind, host, port } = parseDestination(text);
      const again = `${host.includes(':') ? `[${host}]` : host}:${port}`;
      expect(parseDestination(again)).toEqual({ kind, host, port, text: again });
    }),
  );
});
