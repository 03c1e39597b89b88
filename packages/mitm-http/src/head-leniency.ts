// Heads of origins that cannot write HTTP/1: each fault that may be overlooked has a name, and is repaired in the bytes before
// the strict parser sees them. So nothing is read loosely, and no faulty line is ever sent on.
import { trimSpace } from './field-lines.ts';

/**
 * What may be overlooked in a response head, each on its own:
 * `bare_lf` a line that ends in LF alone (RFC 9112 §2.2), `obs_fold` a field value continued on lines that begin with a space
 * (RFC 9112 §5.2), `space_before_colon` white space between a field name and its colon (RFC 9112 §5.1).
 */
export const headLeniencies = ['bare_lf', 'obs_fold', 'space_before_colon'] as const;
/** See {@link headLeniencies}. */
export type HeadLeniency = (typeof headLeniencies)[number];

const CR = 0x0d;
const LF = 0x0a;

/**
 * Offset just behind the empty line that ends a head whose lines may end in LF alone, searching from `from`, or -1 while it is
 * not there. The end of a strict head is never found later than by the strict search.
 */
export function looseHeadEnd(bytes: Buffer, from: number): number {
  for (let at = bytes.indexOf(LF, from); at >= 0; at = bytes.indexOf(LF, at + 1)) {
    if (bytes[at + 1] === LF) return at + 2;
    if (bytes[at + 1] === CR && bytes[at + 2] === LF) return at + 3;
  }
  return -1;
}

/**
 * The head in `bytes` from `start` to `end` with the named faults repaired: bare LF made CR LF, continued lines joined by one
 * space, white space before a colon removed. Every other fault stays for the strict parser to refuse; a strict head comes back
 * byte for byte. The status line is never joined with what follows it.
 */
export function repairedHead(
  bytes: Buffer,
  start: number,
  end: number,
  leniencies: readonly HeadLeniency[],
): Buffer {
  const text = bytes.toString('latin1', start, end);
  let lines = text.split(leniencies.includes('bare_lf') ? /\r?\n/ : '\r\n');
  if (leniencies.includes('obs_fold')) lines = unfolded(lines);
  if (leniencies.includes('space_before_colon')) {
    lines = lines.map((line, index) => (index === 0 ? line : withoutSpaceBeforeColon(line)));
  }
  return Buffer.from(lines.join('\r\n'), 'latin1');
}

// Only a value can go on: a folded name would let the part before the fold be another field to another reader.
function unfolded(lines: readonly string[]): string[] {
  const out: string[] = [];
  let parts: string[] = [];
  for (const [index, line] of lines.entries()) {
    const [first = ''] = parts;
    if (index > 1 && isSpaced(line) && first.includes(':') && !isSpaced(first)) {
      parts.push(line);
      continue;
    }
    if (index > 0) out.push(joined(parts));
    parts = [line];
  }
  out.push(joined(parts));
  return out;
}

function joined(parts: readonly string[]): string {
  const [first = '', ...rest] = parts;
  if (rest.length === 0) return first;
  return [withoutTrailingSpace(first), ...rest.map(trimSpace)].filter(Boolean).join(' ');
}

function withoutSpaceBeforeColon(line: string): string {
  const colon = line.indexOf(':');
  const before = line.charCodeAt(colon - 1);
  if (colon < 1 || (before !== 0x20 && before !== 0x09)) return line;
  return withoutTrailingSpace(line.slice(0, colon)) + line.slice(colon);
}

function isSpaced(line: string): boolean {
  return line.startsWith(' ') || line.startsWith('\t');
}

// A loop, since a pattern anchored at the end takes quadratic time on a long run of spaces inside.
function withoutTrailingSpace(text: string): string {
  let end = text.length;
  while (end > 0 && isSpaced(text.charAt(end - 1))) end--;
  return text.slice(0, end);
}
