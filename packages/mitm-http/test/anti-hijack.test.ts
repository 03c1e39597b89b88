// The guard of JSON is taken out by name where JSON follows, and nothing else is ever changed.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import {
  antiHijackPrefixes,
  antiHijackPrefixOf,
  antiHijackStage,
  isScriptLike,
  withoutPrefix,
} from '../src/anti-hijack.ts';
import { DecoderChain } from '../src/decoder-chain.ts';

const json = '{"a":[1,true,"x"]}';

/** What is left of a body, and the name of what was taken out. */
function stripped(body: string | Buffer): { readonly prefix: string | undefined; readonly rest: string } {
  const bytes = Buffer.from(body);
  const match = antiHijackPrefixOf(bytes);
  return {
    prefix: match?.prefix,
    rest: (match === undefined ? bytes : withoutPrefix(bytes, match)).toString(),
  };
}

describe('a prefix', () => {
  test.each(antiHijackPrefixes)('DC-08 %s is taken out before JSON', (prefix, text) => {
    expect(stripped(`${text}${json}`)).toEqual({ prefix, rest: json });
  });

  test.each([
    ['white space before it stays', ` \t\r\n)]}'\n${json}`, 'xssi_angular_prefix_lf', ` \t\r\n${json}`],
    ['a byte order mark before it stays', `\uFEFFwhile(1);${json}`, 'while_1_prefix', `\uFEFF${json}`],
    ['white space behind it stays', `for(;;); \n${json}`, 'for_ever_prefix_compact', ` \n${json}`],
    ['it is taken out once', `while(1);{}`, 'while_1_prefix', '{}'],
    ['an array may follow', 'while(1);[1,2]', 'while_1_prefix', '[1,2]'],
    ['a string may follow', `)]}'"text"`, 'xssi_angular_prefix', '"text"'],
    ['a number may follow', `)]}'\n-1.5`, 'xssi_angular_prefix_lf', '-1.5'],
    ['a literal may follow', `for (;;);null`, 'for_ever_prefix_spaced', 'null'],
    ['and end', `for (;;);true \n`, 'for_ever_prefix_spaced', 'true \n'],
  ])('%s', (_rule, body, prefix, rest) => {
    expect(stripped(body)).toEqual({ prefix, rest });
  });
});

describe('left as it is', () => {
  test.each([
    ['DC-09 plain JSON', json],
    ['an empty object', '{}'],
    ['nothing', ''],
    ['nothing but white space', ' \n'],
    ['a prefix without anything behind it', `)]}'\n`],
    ['a prefix that is cut', `)]}`],
    ['DC-10 a script that begins so', 'while(1);window.steal()'],
    ['a script whose first word begins like a literal', 'while(1);throw new Error()'],
    ['a function', 'for(;;);function f() {}'],
    ['a word that begins with a literal', 'while(1);nullable()'],
    ['a word that begins with a literal and a sign', 'while(1);true_()'],
    ['two prefixes', 'while(1);for(;;);{}'],
    ['a prefix in the middle', `{"a":1})]}'\n{}`],
    ['a prefix behind a space that is no ASCII', `\u00A0)]}'\n{}`],
  ])('%s', (_what, body) => {
    expect(stripped(body)).toEqual({ prefix: undefined, rest: body });
  });

  test('whatever does not begin with a prefix', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const text = Buffer.from(bytes).toString('latin1').trimStart();
        fc.pre(!antiHijackPrefixes.some(([, prefix]) => text.replace(/^ï»¿\s*/, '').startsWith(prefix)));
        expect(antiHijackPrefixOf(bytes)).toBeUndefined();
      }),
    );
  });
});

test('DC-07 any JSON behind any prefix, with any white space, can be parsed afterwards, and only the prefix is gone', () => {
  const space = fc.array(fc.constantFrom(' ', '\t', '\n', '\r'), { maxLength: 3 }).map((all) => all.join(''));
  fc.assert(
    fc.property(
      fc.constantFrom(...antiHijackPrefixes.map(([, text]) => text)),
      space,
      space,
      fc.jsonValue(),
      (text, before, after, value) => {
        const body = JSON.stringify(value);
        const { prefix, rest } = stripped(`${before}${text}${after}${body}`);
        expect(prefix).toBeDefined();
        expect(JSON.parse(rest)).toEqual(JSON.parse(body));
        // A line end behind a prefix may belong to it.
        expect([
          `${before}${after}${body}`,
          `${before}${after.slice(1)}${body}`,
          `${before}${after.slice(2)}${body}`,
        ]).toContain(rest);
      },
    ),
  );
});

describe('as a stage', () => {
  const chain = new DecoderChain(['payload_parse'], { payload_parse: antiHijackStage });
  const run = async (body: string, attributes: Readonly<Record<string, string>> = {}) => {
    const { frame, reports } = await chain.run({ bytes: Buffer.from(body), isEnd: true, attributes });
    return { body: frame.bytes.toString(), attributes: frame.attributes, report: reports[0] };
  };

  test('DC-11 says what it took out, and by which rule', async () => {
    expect(await run(`)]}'\n${json}`, { kept: 'yes', sanitized: 'false' })).toEqual({
      body: json,
      attributes: {
        kept: 'yes',
        sanitized: 'true',
        sanitized_prefix: 'xssi_angular_prefix_lf',
        sanitized_provenance: 'anti_hijack_prefix:xssi_angular_prefix_lf',
      },
      report: { stage: 'payload_parse', status: 'applied', bytesIn: json.length + 5, bytesOut: json.length },
    });
  });

  test('DC-11 says that there was none, and takes back what an earlier run said', async () => {
    const stale = { kept: 'yes', sanitized: 'true', sanitized_prefix: 'x', sanitized_provenance: 'y' };
    const result = await run(json, stale);
    expect(result.attributes).toEqual({ kept: 'yes', sanitized: 'false' });
    expect(result.report).toMatchObject({ status: 'applied', bytesIn: json.length, bytesOut: json.length });
  });
});

test.each([
  ['application/json', true],
  ['text/javascript', true],
  ['application/problem+json', true],
  ['text/html', false],
  ['application/octet-stream', false],
  ['', false],
])('%j may be run as a script: %s', (mediaType, expected) => {
  expect(isScriptLike(mediaType)).toBe(expected);
});
