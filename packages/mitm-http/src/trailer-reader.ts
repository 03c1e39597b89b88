// The trailer section of a chunked body: collected up to its empty line, then read with the rules of heads. What a trailer
// may not say (framing, routing, identity) is refused, or taken out where asked, since one reader may merge it into the head and another
// not.
import { HttpError, quoted } from './errors.ts';
import { cutFields, scanFieldLines } from './field-lines.ts';
import { forbiddenTrailers } from './h2/trailers.ts';
import type { HeaderList } from './header-map.ts';

// RFC 9110 §6.5.1
const forbidden: ReadonlySet<string> = new Set<string>(forbiddenTrailers);
const CR = 0x0d;
const LF = 0x0a;

/** Reads one trailer section, which begins right after the line of the last chunk. */
export class TrailerReader {
  #fields: HeaderList | undefined = undefined;
  #text = '';
  #byteCount = 0;
  // How much of CR LF CR LF the last bytes are. The last chunk's line end counts as its first half.
  #matched = 2;
  readonly #maxBytes: number;
  readonly #dropsForbidden: boolean;

  /** @param dropsForbidden fields that may not stand in a trailer are taken out instead of refused */
  constructor(maxBytes: number, dropsForbidden = false) {
    this.#maxBytes = maxBytes;
    this.#dropsForbidden = dropsForbidden;
  }

  /** Whether the empty line has been read. */
  get isDone(): boolean {
    return this.#matched === 4;
  }

  /** The fields, once done; `undefined` when there are none. */
  get fields(): HeaderList | undefined {
    return this.#fields;
  }

  /** Takes bytes from `offset` on; returns the offset after the last one that belongs to the section. @throws {HttpError} */
  push(chunk: Buffer, offset: number): number {
    let at = offset;
    while (at < chunk.length && this.#matched < 4) this.#matched = this.#next(chunk[at++] ?? 0);
    this.#byteCount += at - offset;
    if (this.#byteCount > this.#maxBytes) {
      throw new HttpError('trailers_too_large', `the trailer section is longer than ${this.#maxBytes} bytes`);
    }
    this.#text += chunk.toString('latin1', offset, at);
    if (this.isDone && this.#byteCount > 2) {
      this.#fields = parseTrailers(this.#text, this.#dropsForbidden);
    }
    return at;
  }

  #next(byte: number): number {
    const hasReturn = this.#matched === 1 || this.#matched === 3;
    if (byte === LF) {
      if (hasReturn) return this.#matched + 1;
      throw new HttpError('bare_line_feed', 'a trailer line ends in LF alone: lines end in CR LF');
    }
    if (hasReturn) {
      throw new HttpError(
        'bare_carriage_return',
        'a CR stands without its LF in a trailer: lines end in CR LF',
      );
    }
    return byte === CR ? this.#matched + 1 : 0;
  }
}

function parseTrailers(text: string, dropsForbidden: boolean): HeaderList | undefined {
  const bytes = Buffer.from(text, 'latin1');
  const offsets: number[] = [];
  scanFieldLines(bytes, 0, bytes.length, 0, offsets);
  const fields = cutFields(text, offsets);
  const kept: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? '';
    if (!forbidden.has(name.toLowerCase())) kept.push(name, fields[i + 1] ?? '');
    else if (!dropsForbidden) {
      throw new HttpError('forbidden_trailer', `${quoted(name)} may not stand in a trailer`);
    }
  }
  return kept.length === 0 ? undefined : kept;
}
