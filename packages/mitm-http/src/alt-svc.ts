// Alternative services (RFC 7838): which of them a client is told of. Those over QUIC would lead it past a proxy that speaks TCP.
import { trimSpace } from './field-lines.ts';

/** Protocols over QUIC: HTTP/3, its drafts, and what came before it. */
const quicProtocol = /^(?:h3(?:-[^=]*)?|quic|hq(?:-[^=]*)?)$/i;

/**
 * The value of an Alt-Svc field without its alternatives over QUIC. `clear` and what can't be read stay as they are.
 * @returns the value itself when there is nothing to take out, `undefined` when nothing is left.
 */
export function withoutQuicAlternatives(value: string): string | undefined {
  const members = splitMembers(value);
  const kept = members.filter((member) => !quicProtocol.test(protocolOf(member)));
  if (kept.length === members.length) return value;
  return kept.length === 0 ? undefined : kept.join(', ');
}

/** The protocol id, percent-decoded where it was encoded (RFC 7838 §3). */
function protocolOf(member: string): string {
  const end = member.indexOf('=');
  const id = end < 0 ? member : member.slice(0, end);
  return id.replaceAll(/%([0-9A-F]{2})/gi, (_all, code: string) =>
    String.fromCharCode(Number.parseInt(code, 16)),
  );
}

/** Commas inside quotes separate nothing. */
function splitMembers(value: string): string[] {
  const members: string[] = [];
  let start = 0;
  let isQuoted = false;
  for (let i = 0; i <= value.length; i += 1) {
    const c = value[i];
    if (c === '"') isQuoted = !isQuoted;
    else if (c === '\\' && isQuoted) i += 1;
    else if ((c === ',' && !isQuoted) || i >= value.length) {
      members.push(trimSpace(value.slice(start, i)));
      start = i + 1;
    }
  }
  return members.filter((member) => member !== '');
}
