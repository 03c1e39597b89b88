// What the tests of this package share: heads written as lists of lines, and bodies read in pieces of any size.
import fc from 'fast-check';

import { BodyFramer } from '../src/body-framer.ts';
import type { BodyLimits } from '../src/body-framer.ts';
import type { BodyFraming } from '../src/framing.ts';
import { parseRequestHead, parseResponseHead } from '../src/head.ts';
import type { RequestHead, ResponseHead } from '../src/head.ts';

/** Lines as they stand on the wire, with the empty line that ends a head. */
export function wire(...lines: readonly string[]): string {
  return `${lines.join('\r\n')}\r\n\r\n`;
}

export function bytesOf(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

export function requestOf(...lines: readonly string[]): RequestHead {
  const bytes = bytesOf(wire(...lines));
  return parseRequestHead(bytes, 0, bytes.length);
}

/** A request with these fields besides Host. */
export function requestWith(...fields: readonly string[]): RequestHead {
  return requestOf('POST /path HTTP/1.1', 'Host: example.com', ...fields);
}

export function responseOf(...lines: readonly string[]): ResponseHead {
  const bytes = bytesOf(wire(...lines));
  return parseResponseHead(bytes, 0, bytes.length);
}

/** The error that `run` throws, reduced to what rules are about; 'accepted' when it throws none. */
export function codeOf(run: () => unknown): unknown {
  const error = errorOf(run) ?? { code: 'accepted' };
  return typeof error === 'object' && 'code' in error ? error.code : error;
}

/** The error that `run` throws, if any. */
export function errorOf(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
}

export interface BodyResult {
  readonly payload: string;
  readonly trailers: readonly string[] | undefined;
  readonly isDone: boolean;
  readonly rest: string;
  readonly error: unknown;
}

/** Reads a body in the given pieces and ends the connection behind them. */
export function readBody(pieces: readonly Buffer[], framing: BodyFraming, limits?: BodyLimits): BodyResult {
  const framer = new BodyFramer(framing, limits);
  const payload: Buffer[] = [];
  const rest: Buffer[] = [];
  const error = codeOf(() => {
    for (const piece of pieces) {
      const end = framer.push(piece, 0, (view) => payload.push(Buffer.from(view)));
      rest.push(piece.subarray(end));
    }
    framer.end();
  });
  return {
    payload: Buffer.concat(payload).toString('latin1'),
    trailers: framer.trailers,
    isDone: framer.isDone,
    rest: Buffer.concat(rest).toString('latin1'),
    error,
  };
}

/** All the ways to cut these bytes into pieces. */
export function splits(bytes: Buffer): fc.Arbitrary<Buffer[]> {
  return fc.array(fc.nat(bytes.length), { maxLength: 12 }).map((cuts) => {
    const places = [0, ...cuts.toSorted((a, b) => a - b), bytes.length];
    return places.slice(1).map((end, index) => bytes.subarray(places[index], end));
  });
}
