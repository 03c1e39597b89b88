// Answers which rule of a list covers a host and port. Exact rules cost one map lookup whatever the length of the list;
// patterns are tried in list order after them, without regular expressions, so that no host can make a match slow.
import type { Destination } from './destination.ts';

/** Rules of one exact host. */
interface HostPorts {
  everyPort: Destination | undefined;
  readonly byPort: Map<number, Destination>;
}

/** A pattern cut at its stars: what the host must begin with, contain in this order, and end with. */
interface CutPattern {
  readonly destination: Destination;
  readonly head: string;
  readonly middle: readonly string[];
  readonly tail: string;
  /** Below this length head, middle and tail would have to overlap. */
  readonly minLength: number;
}

/** A compiled list of host rules. It never changes after construction. */
export class HostMatcher {
  /** Number of distinct rules; repeated entries count once. */
  readonly size: number;
  readonly #exact: Map<string, HostPorts>;
  readonly #patterns: readonly CutPattern[];

  constructor(rules: readonly Destination[]) {
    const exact = new Map<string, HostPorts>();
    const patterns = new Map<string, CutPattern>();
    let size = 0;
    for (const rule of rules) {
      if (rule.kind === 'exact') {
        if (addExact(exact, rule)) size += 1;
      } else if (!patterns.has(`${rule.host}:${rule.port}`)) {
        patterns.set(`${rule.host}:${rule.port}`, cutPattern(rule));
        size += 1;
      }
    }
    this.size = size;
    this.#exact = exact;
    this.#patterns = [...patterns.values()];
  }

  /**
   * The rule that covers this host and port: an exact rule with this port, else an exact rule for every port, else the
   * first pattern in list order. `host` is canonical (lower case, IPv6 without brackets).
   */
  match(host: string, port: number): Destination | undefined {
    const ports = this.#exact.get(host);
    if (ports !== undefined) {
      const rule = ports.byPort.get(port) ?? ports.everyPort;
      if (rule !== undefined) return rule;
    }
    for (const pattern of this.#patterns) {
      const rulePort = pattern.destination.port;
      if ((rulePort === '*' || rulePort === port) && matchesCut(pattern, host)) return pattern.destination;
    }
    return undefined;
  }
}

function addExact(exact: Map<string, HostPorts>, rule: Destination): boolean {
  let ports = exact.get(rule.host);
  if (ports === undefined) {
    ports = { everyPort: undefined, byPort: new Map() };
    exact.set(rule.host, ports);
  }
  if (rule.port === '*') {
    if (ports.everyPort !== undefined) return false;
    ports.everyPort = rule;
    return true;
  }
  if (ports.byPort.has(rule.port)) return false;
  ports.byPort.set(rule.port, rule);
  return true;
}

function cutPattern(destination: Destination): CutPattern {
  const parts = destination.host.split('*');
  const head = parts[0] ?? '';
  const tail = parts.at(-1) ?? '';
  const middle = parts.slice(1, -1);
  const minLength = parts.reduce((sum, part) => sum + part.length, 0);
  return { destination, head, middle, tail, minLength };
}

// Taking each middle part at its first place is enough: an earlier place never leaves less room for the rest.
function matchesCut(pattern: CutPattern, host: string): boolean {
  if (host.length < pattern.minLength) return false;
  if (!host.startsWith(pattern.head) || !host.endsWith(pattern.tail)) return false;
  const end = host.length - pattern.tail.length;
  let at = pattern.head.length;
  for (const part of pattern.middle) {
    const found = host.indexOf(part, at);
    if (found === -1 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}
