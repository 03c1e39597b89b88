// The static table of HPACK (RFC 7541 Appendix A), in the two shapes that are needed: by index for decoding, by name for encoding.

/** Number of entries in the static table; the dynamic table begins with the index after it. */
export const staticEntryCount = 61;

const entries = [
  [':authority', ''],
  [':method', 'GET', 'POST'],
  [':path', '/', '/index.html'],
  [':scheme', 'http', 'https'],
  [':status', '200', '204', '206', '304', '400', '404', '500'],
  ['accept-charset', ''],
  ['accept-encoding', 'gzip, deflate'],
  ['accept-language', ''],
  ['accept-ranges', ''],
  ['accept', ''],
  ['access-control-allow-origin', ''],
  ['age', ''],
  ['allow', ''],
  ['authorization', ''],
  ['cache-control', ''],
  ['content-disposition', ''],
  ['content-encoding', ''],
  ['content-language', ''],
  ['content-length', ''],
  ['content-location', ''],
  ['content-range', ''],
  ['content-type', ''],
  ['cookie', ''],
  ['date', ''],
  ['etag', ''],
  ['expect', ''],
  ['expires', ''],
  ['from', ''],
  ['host', ''],
  ['if-match', ''],
  ['if-modified-since', ''],
  ['if-none-match', ''],
  ['if-range', ''],
  ['if-unmodified-since', ''],
  ['last-modified', ''],
  ['link', ''],
  ['location', ''],
  ['max-forwards', ''],
  ['proxy-authenticate', ''],
  ['proxy-authorization', ''],
  ['range', ''],
  ['referer', ''],
  ['refresh', ''],
  ['retry-after', ''],
  ['server', ''],
  ['set-cookie', ''],
  ['strict-transport-security', ''],
  ['transfer-encoding', ''],
  ['user-agent', ''],
  ['vary', ''],
  ['via', ''],
  ['www-authenticate', ''],
] as const satisfies readonly (readonly [name: string, ...values: string[]])[];

/** A name of the static table. Its entries stand one after the other, one for each value. */
export interface StaticName {
  readonly name: string;
  /** Index of its first entry, 1 to 61. */
  readonly index: number;
  /** The values of its entries; the n-th one has the index `index + n`. An empty value is an entry like any other. */
  readonly values: readonly string[];
}

/** Name of each entry by its index. Index 0 means nothing (RFC 7541 §6.1) and is empty here. */
export const staticNames: readonly string[] = [
  '',
  ...entries.flatMap(([name, ...values]) => values.map(() => name)),
];
/** Value of each entry by its index; see {@link staticNames}. */
export const staticValues: readonly string[] = ['', ...entries.flatMap(([, ...values]) => values)];
/** The names of the table with where they stand. */
export const staticNameOf: ReadonlyMap<string, StaticName> = new Map(
  entries.map(([name, ...values]) => [name, { name, index: staticNames.indexOf(name), values }]),
);
