// Explains keys that the schema does not have: left out on purpose, spelled with underscores, living elsewhere, called
// otherwise here, or mistyped. One sentence each, that says what to write instead.

const nothingToReap =
  'does not exist here: flows end exactly once, so nothing has to be remembered or reaped; remove it';

/** What is missing on purpose, and the names that other layers of the original have for fields of this schema. */
const explanations: ReadonlyMap<string, string> = new Map([
  [
    'downstreamTlsBackend',
    'does not exist here: there is one TLS implementation to choose from, that of Node; remove it',
  ],
  ['eventSink', 'does not exist here: to write events to a file, set eventLog.path'],
  ['closedFlowLruCapacity', nothingToReap],
  ['staleFlowTtlMs', nothingToReap],
  ['staleReapMaxBatch', nothingToReap],
  ['recoverFromErrors', 'is called handler.recoverFromPanics'],
  ['listenAddr', 'is part of bind, written HOST:PORT'],
  ['listenPort', 'is part of bind, written HOST:PORT'],
  ['maxFlowBodyBufferBytes', 'is called body.maxSizeBytes'],
  ['maxFlowDecoderBufferBytes', 'is called body.maxDecoderBytes'],
  ['caCertPemPath', 'is called tls.caCertPath'],
  ['caKeyPemPath', 'is called tls.caKeyPath'],
  ['upstreamTlsInsecureSkipVerify', 'is the opposite of upstream.verifyUpstreamTls'],
  ['upstreamSniMode', 'is called upstream.sniMode'],
  ['upstreamClientAuthMode', 'is called upstream.clientAuthMode'],
  ['upstreamClientCertPemPath', 'is called upstream.clientCertPath'],
  ['upstreamClientKeyPemPath', 'is called upstream.clientKeyPath'],
  ['tlsFingerprintMode', 'is called upstream.fingerprintMode'],
  ['tlsFingerprintClass', 'is called upstream.fingerprintClass'],
  ['h2ResponseOverflowStrict', 'is called upstream.h2ResponseOverflowMode, with the value strict_fail'],
  [
    'idleWatchdogTimeout',
    'is split here: timeouts.bodyIdleMs, timeouts.tunnelIdleMs and connectionPool.idleTimeoutMs',
  ],
  ['websocketIdleWatchdogTimeout', 'is called timeouts.tunnelIdleMs'],
  ['streamStageTimeout', 'is split here: timeouts.headMs for clients, upstream.timeoutMs for origins'],
  ['upstreamConnectTimeout', 'is called upstream.connectTimeoutMs'],
  ['h2BodyIdleTimeout', 'is called upstream.h2BodyIdleTimeoutMs'],
]);

/**
 * Says what is wrong with an unknown key.
 * @param parent the path of the object that has the key, empty for the whole configuration
 * @param siblings the keys that this object may have
 * @param fieldPaths the paths of all fields
 */
export function explainUnknownKey(
  key: string,
  {
    parent,
    siblings,
    fieldPaths,
  }: {
    readonly parent: string;
    readonly siblings: readonly string[];
    readonly fieldPaths: readonly string[];
  },
): string {
  const camel = camelCase(key);
  if (camel !== key && siblings.includes(camel)) return `is written ${join(parent, camel)}`;
  const explanation = explanations.get(camel);
  if (explanation !== undefined) return explanation;
  const elsewhere = fieldPaths.filter((path) => path.endsWith(`.${camel}`) || path === camel);
  if (elsewhere.length > 0) return `does not belong here: did you mean ${elsewhere.join(' or ')}?`;
  const near = nearest(camel, siblings);
  if (near !== undefined) return `is not known: did you mean ${join(parent, near)}?`;
  const place = parent === '' ? 'the configuration' : parent;
  return `is not known: ${place} has ${siblings.join(', ')}`;
}

function camelCase(key: string): string {
  return key.replaceAll(/[_-]+(?<letter>[a-z0-9])/gu, (_match, letter: string) => letter.toUpperCase());
}

function join(parent: string, key: string): string {
  return parent === '' ? key : `${parent}.${key}`;
}

/** The candidate that takes the fewest edits, if these are few for a word of that length. */
function nearest(word: string, candidates: readonly string[]): string | undefined {
  if (word.length > 64) return undefined;
  const lower = word.toLowerCase();
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(lower, candidate.toLowerCase());
    if (distance < bestDistance && distance < candidate.length) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Insertions, deletions and replacements that turn one word into the other, kept a row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
