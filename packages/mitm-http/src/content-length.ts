// The value of Content-Length: digits, or a list of equal ones, and nothing that two readers could take for two lengths.
import { HttpError, quoted } from './errors.ts';
import { trimSpace } from './field-lines.ts';

/**
 * The length a Content-Length value declares, in bytes (RFC 9110 §8.6). A list of equal values counts as one.
 * @param known the length of an earlier field of the same message, or -1.
 * @throws {HttpError} `invalid_content_length` for anything but digits up to 2^53 - 1, `conflicting_content_length` where
 * two values differ.
 */
export function contentLengthOf(value: string, known: number): number {
  if (!value.includes(',')) return agreedLength(value, known);
  let agreed = known;
  for (const member of value.split(',')) agreed = agreedLength(trimSpace(member), agreed);
  return agreed;
}

function agreedLength(digits: string, known: number): number {
  let length = digits === '' ? Number.NaN : 0;
  for (let i = 0; i < digits.length; i++) {
    const digit = digits.charCodeAt(i) - 0x30;
    length = digit >= 0 && digit <= 9 ? length * 10 + digit : Number.NaN;
  }
  if (!(length <= Number.MAX_SAFE_INTEGER)) {
    const message = `Content-Length ${quoted(digits)} is not a number of bytes up to 2^53 - 1`;
    throw new HttpError('invalid_content_length', message);
  }
  if (known >= 0 && known !== length) {
    throw new HttpError('conflicting_content_length', `Content-Length is given as ${known} and as ${length}`);
  }
  return length;
}
